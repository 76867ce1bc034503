// Collects a call's results for its caller: fixed-size ones into the caller's rows, serialized ones into storage, and of
// the errors the one of the smallest index. Complete when every item has its result or error.
#pragma once

#include <condition_variable>
#include <mutex>

#include "pool/job.hpp"
#include <rankpool/pool/call.hpp>

namespace rankpool::pool {

class CallSink final : public Sink {
  public:
    /// `shared`: several threads deliver; they take turns by `mutex`.
    CallSink(CallOutput& output, std::size_t count, std::uint32_t result_size, bool shared);

    void fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) override;
    void value(std::uint64_t index, std::span<const std::byte> bytes) override;
    void failed(std::uint64_t index, Failure failure) override;
    void rest_failed(Failure failure) override;

    bool any_failed() const { return failed_ || rest_; }
    /// Turns the error of the smallest index into an exception; to be called when the call is over.
    void settle();

    /// For callers that are not the driver: guards everything here and says when something changed.
    std::mutex mutex;
    std::condition_variable changed;

  private:
    std::unique_lock<std::mutex> turn();

    CallOutput& output_;
    bool shared_;
    std::uint32_t result_size_;
    bool failed_ = false;
    std::uint64_t failed_index_ = 0;
    Failure failure_;
    bool rest_ = false;
    Failure rest_failure_;
};

}  // namespace rankpool::pool
