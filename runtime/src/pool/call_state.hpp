// One call in flight: its batches on the pool's sites, and its end.
//
// With one site the whole input is one batch. With several, batches shrink towards the end (a share of what is left), two
// at a time to each site so that none waits for the next. Whoever waits, or the service thread, hands out the next one.
#pragma once

#include <condition_variable>
#include <memory>
#include <vector>

#include "pool/call_sink.hpp"
#include "pool/core.hpp"

namespace rankpool::pool {

class Call final : public Attended, public std::enable_shared_from_this<Call> {
  public:
    struct Plan {
        Items items;
        JobOptions options;
        bool progress = false;
        bool attended = false;  // by the service thread, besides whoever waits
    };
    Call(std::shared_ptr<Core> core, std::shared_ptr<const KnownFunction> function, const Plan& plan, CallOutput& output,
         std::shared_ptr<void> owner);

    /// Hands out the first batches.
    void start();
    /// Waits until it is over; false when `until` has passed.
    bool wait(Deadline until);
    bool over() const;
    /// Calls `then` on the service thread when it is over; at once, here, if it is.
    void when_over(std::function<void()> then);
    void attend() override;

  private:
    struct Batch {
        std::size_t site = 0;
        std::uint64_t id = 0;
        bool known = false;  // its id: it can be cancelled
        bool over = false;
        std::vector<std::uint64_t> ends;
    };
    bool wants_batch_locked() const;
    bool wants_dropping_locked() const;
    bool settled_locked() const;
    bool needs_hand_locked() const { return !handling_ && (settled_locked() || wants_dropping_locked() || wants_batch_locked()); }
    std::size_t hungry_site_locked() const;
    std::uint64_t batch_size(std::size_t site) const;
    void handle();
    void give(std::size_t site, std::unique_lock<std::mutex>& lock);
    void drop(std::unique_lock<std::mutex>& lock);
    void complete();
    void batch_over(Batch& batch);

    std::shared_ptr<Core> core_;  // until it is over
    std::shared_ptr<const KnownFunction> function_;
    Plan plan_;
    CallOutput& output_;
    std::shared_ptr<void> owner_;
    std::optional<Core::Work> work_;
    CallSink sink_;

    // Guarded by sink_.mutex.
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Batch>> batches_;
    std::uint64_t next_ = 0;
    bool dropped_ = false, handling_ = false, over_ = false;
    std::exception_ptr refused_;
    std::vector<std::function<void()>> callbacks_;
};

}  // namespace rankpool::pool
