// Collects a call's results for its caller: fixed-size ones into the caller's rows, serialized ones into storage, and the
// errors: all of them, or only the one of the smallest index.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "pool/checkpoint.hpp"
#include "pool/job.hpp"
#include <rankpool/pool/call.hpp>

namespace rankpool::pool {

class CallSink final : public Sink {
  public:
    CallSink(CallOutput& output, std::size_t count, std::uint32_t result_size);

    void fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) override;
    void placed(std::uint64_t first, std::uint64_t count) override;
    void value(std::uint64_t index, std::span<const std::byte> bytes) override { values(index, {&bytes, 1}); }
    void values(std::uint64_t first, std::span<const std::span<const std::byte>> all) override;
    void failed(std::uint64_t index, Failure failure) override;
    void rest_failed(Failure failure) override;

    bool any_failed() const { return !failures_.empty() || rest_; }
    bool rest_has_failed() const { return rest_; }
    std::size_t failures() const { return failures_.size(); }
    /// Items that have their result or error.
    std::size_t arrived() const { return arrived_; }
    /// Turns errors into exceptions; to be called when the call is over. `refused`: why items were never given to a worker, or
    /// null. Returns what befell those that have nothing; null where all have something.
    std::exception_ptr settle(const std::exception_ptr& refused);

    /// Guards everything here.
    std::mutex mutex;
    /// Where results are noted, too; may be null.
    Checkpoint* checkpoint = nullptr;
    /// Called at the first failure, with `mutex` held.
    std::function<void()> on_failure;

  private:
    void store(std::size_t index, std::span<const std::byte> bytes);
    void take(std::uint64_t first, std::span<const std::span<const std::byte>> all);
    void arrive(std::uint64_t first, std::uint64_t count);

    CallOutput& output_;
    std::size_t count_;
    std::uint32_t result_size_;
    std::size_t arrived_ = 0;
    std::vector<bool> has_;  // where all errors are kept: which items have something
    std::map<std::uint64_t, Failure> failures_;
    bool rest_ = false;
    Failure rest_failure_;
};

}  // namespace rankpool::pool
