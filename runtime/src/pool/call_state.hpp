// One call in flight: its batches on the pool's sites, and its end.
//
// With one site the whole input is one batch. With several, batches shrink towards the end (a share of what is left), two
// at a time to each site so that none waits for the next. What a checkpoint's journal has is given to nobody: the batches of
// such a call are parts of the stretches that it lacks. Whoever waits, or the service thread, hands out the next one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <string>
#include <vector>

#include "pool/call_sink.hpp"
#include "pool/checkpoint.hpp"
#include "pool/core.hpp"
#include "pool/drain.hpp"

namespace rankpool::pool {

class Call final : public Attended, public Drainable, public std::enable_shared_from_this<Call> {
  public:
    struct Plan {
        Items items;
        JobOptions options;
        bool progress = false;
        bool attended = false;  // by the service thread, besides whoever waits
        std::shared_ptr<Checkpoint> checkpoint = {};
        std::optional<DrainGuard::Time> until = {};  // with a checkpoint: drained then
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
    void drain(const std::string& why) override;
    void give_up() override;

  private:
    struct Batch {
        Batch(std::size_t number, Site& where, std::uint64_t items) : site(number), count(items), at(where) { at.load += count; }
        ~Batch() { at.load -= count; }
        Batch(const Batch&) = delete;
        Batch& operator=(const Batch&) = delete;

        std::size_t site;
        std::uint64_t id = 0;
        bool known = false;  // its id: it can be cancelled
        bool over = false;
        std::uint64_t count;
        std::vector<std::uint64_t> ends;
        Site& at;
    };
    bool wants_batch_locked() const;
    bool wants_dropping_locked() const;
    bool settled_locked() const;
    bool needs_hand_locked() const { return !handling_ && (settled_locked() || wants_dropping_locked() || wants_batch_locked()); }
    std::size_t hungry_site_locked() const;
    std::uint64_t batch_size(std::size_t site) const;
    void end_locked();
    void handle();
    void give(std::size_t site, std::unique_lock<std::mutex>& lock);
    void drop(std::unique_lock<std::mutex>& lock);
    void complete();
    void finish_checkpoint();
    void batch_over(Batch& batch);

    std::shared_ptr<Core> core_;  // until it is over
    std::uint64_t pool_;          // its number
    std::shared_ptr<const KnownFunction> function_;
    Plan plan_;
    CallOutput& output_;
    std::shared_ptr<void> owner_;
    std::optional<Core::Work> work_;
    std::optional<DrainGuard> drain_guard_;
    CallSink sink_;

    // Guarded by sink_.mutex.
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Batch>> batches_;
    std::vector<Checkpoint::Stretch> stretches_;  // of items to run, the next one last
    std::uint64_t left_ = 0;                      // items in them
    bool ending_ = false, draining_ = false;      // no item is to be started any more
    std::string drain_reason_;
    std::shared_ptr<std::atomic<std::uint32_t>> draining_word_;  // outlives the call where a task does
    bool dropped_ = false, handling_ = false, over_ = false;
    std::exception_ptr refused_;
    std::vector<std::function<void()>> callbacks_;
};

}  // namespace rankpool::pool
