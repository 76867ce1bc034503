// Results as they come: a single-pass input range, from imap, imap_unordered, an executor's map and as_completed.
//
//     for (auto& line : pool.imap(parse, lines)) use(line);          // an item's error is thrown by *it
//
//     auto results = pool.imap(parse, lines);
//     while (auto line = results.next(std::chrono::seconds(10))) use(*line);
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <rankpool/error.hpp>
#include <rankpool/pool/call.hpp>

namespace rankpool {

namespace pool {

/// Where a range's results come from.
template <class R>
class ResultSource {
  public:
    virtual ~ResultSource() = default;
    /// The next one; empty at the end. Throws an item's error; TimeoutError when `until` has passed.
    virtual std::optional<R> next(Deadline until) = 0;
};

}  // namespace pool

/// A single-pass input range of results; move-only. Dropping it drops what was not started.
template <class R>
class ResultRange {
    struct Current {
        std::optional<R> value;
        std::exception_ptr error;
    };
    struct State {
        std::unique_ptr<pool::ResultSource<R>> source;
        std::optional<Current> current;  // where the iterators stand
        bool at_end = false;

        void fetch() {
            if (current || at_end) return;
            Current next;
            try {
                next.value = source->next(std::nullopt);
                at_end = !next.value;
            } catch (...) {
                next.error = std::current_exception();
            }
            if (!at_end) current = std::move(next);
        }
    };

  public:
    class iterator {
      public:
        using iterator_concept = std::input_iterator_tag;
        using iterator_category = std::input_iterator_tag;
        using value_type = R;
        using difference_type = std::ptrdiff_t;
        using pointer = R*;
        using reference = R&;

        iterator() = default;
        explicit iterator(State* state) : state_(state) {}

        /// The result; throws the item's error. After that, begin() again goes on with the next item.
        R& operator*() const {
            if (!state_->current->error) return *state_->current->value;
            const std::exception_ptr error = state_->current->error;
            state_->current.reset();
            std::rethrow_exception(error);
        }
        R* operator->() const { return &**this; }
        iterator& operator++() {
            state_->current.reset();
            state_->fetch();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& it, std::default_sentinel_t) { return it.state_ == nullptr || (it.state_->at_end && !it.state_->current); }

      private:
        State* state_ = nullptr;
    };

    explicit ResultRange(std::unique_ptr<pool::ResultSource<R>> source) : state_(std::make_unique<State>()) { state_->source = std::move(source); }

    /// The next result; empty at the end. Throws the item's error, and can go on after it.
    std::optional<R> next() { return take(std::nullopt); }
    /// The same for at most `timeout`; then TimeoutError, and it can go on after it.
    std::optional<R> next(std::chrono::nanoseconds timeout) { return take(pool::deadline_after(timeout)); }

    auto begin() {
        state_->fetch();
        return iterator(state_.get());
    }
    auto end() { return std::default_sentinel; }

  private:
    std::optional<R> take(pool::Deadline until) {
        if (state_->current) {  // iterators have it already
            Current current = std::move(*state_->current);
            state_->current.reset();
            if (current.error) std::rethrow_exception(current.error);
            return std::move(current.value);
        }
        if (state_->at_end) return std::nullopt;
        auto value = state_->source->next(until);
        state_->at_end = !value;
        return value;
    }

    std::unique_ptr<State> state_;
};

}  // namespace rankpool
