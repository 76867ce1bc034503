// Messages that were begun and are waited for later.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <rankpool/comm/blocks.hpp>

namespace rankpool {

/// A send that was begun (isend). It owns the bytes: the value may change or go at once. Whether or not it is waited for,
/// the message arrives.
class Request {
  public:
    /// Of nothing: it is complete.
    Request() = default;
    explicit Request(std::unique_ptr<comm::Operation> operation) : operation_(std::move(operation)) {}

    /// Returns when the message has left. Local. A second time: at once.
    void wait() {
        if (operation_) operation_->wait();
        operation_.reset();
    }
    /// Whether it has left. Local.
    bool test() {
        if (operation_ && operation_->test()) operation_.reset();
        return !operation_;
    }

  private:
    std::unique_ptr<comm::Operation> operation_;
};

/// A receive that was begun (irecv). Messages go to receives in the order in which those were begun. One that is dropped
/// before its message has come takes none.
template <class T>
class RecvRequest {
  public:
    /// Of nothing: wait() throws std::logic_error.
    RecvRequest() = default;
    explicit RecvRequest(std::unique_ptr<comm::Operation> operation) : operation_(std::move(operation)) {}

    /// The value, once: std::logic_error after that. Local. Throws what comes of a message that is no T, and Error when the
    /// sender is gone.
    T wait() {
        check();
        settle([&] { operation_->wait(); });
        return take();
    }
    /// The value if it has arrived. Local.
    std::optional<T> test() {
        check();
        bool arrived = false;
        settle([&] { arrived = operation_->test(); });
        if (!arrived) return std::nullopt;
        return std::optional<T>(take());
    }
    /// Of the message whose value was returned.
    const Status& status() const { return status_; }

  private:
    void check() const {
        if (!operation_) throw std::logic_error("RecvRequest: there is nothing to wait for: its value was taken already, or it failed, or it was never begun");
    }
    // What failed once is over: to wait for it again could be for ever.
    template <class Step>
    void settle(Step&& step) {
        try {
            step();
        } catch (...) {
            operation_.reset();
            throw;
        }
    }
    T take() {
        const comm::Message message = operation_->take();
        operation_.reset();
        status_ = {message.source, message.tag, message.bytes.size()};
        return comm::value_of<T>(message.bytes);
    }

    std::unique_ptr<comm::Operation> operation_;
    Status status_;
};

}  // namespace rankpool
