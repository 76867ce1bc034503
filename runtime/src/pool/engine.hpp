// A pool's local part: its workers on this machine, what they are to do, and what becomes of it when they die.
//
// Nobody in particular runs it: whoever waits for a result drives (drive()), and if several wait, one of them does.
// Work that nobody waits for is driven by a service thread, which gives way to whoever waits: a caller that drives
// itself learns of its result without a second thread's waking up in between.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pool/arena.hpp"
#include "pool/control.hpp"
#include "pool/coverage.hpp"
#include "pool/job.hpp"
#include "pool/result_ring.hpp"
#include "process/fork_server.hpp"
#include <rankpool/options.hpp>
#include <rankpool/stats.hpp>

namespace rankpool::pool {

/// Where a worker belongs.
struct Seat {
    int rank = -1;     // of the job; -1: none
    int threads = 1;   // the default of numerical libraries in it
    std::vector<std::uint64_t> affinity = {};  // bit mask of CPUs; empty: that of the surroundings
};

struct EngineOptions {
    int workers = 1;       // here
    int first_index = 0;   // index of the first of them in the whole pool
    int pool_size = 1;     // workers of the whole pool
    int cpus = 1;          // that they may use together
    std::vector<Seat> seats;  // one for each of them
    std::vector<std::byte> initializer;  // packed function; empty: none
    int max_tasks_per_child = 0;
    OnLoss on_loss = OnLoss::fail_item;
    int max_retries = 2;
    std::chrono::nanoseconds task_timeout{0};
    process::Surroundings surroundings;
};

/// How a job's items are to be handed out.
struct JobOptions {
    std::uint64_t chunk = 0;  // 0: by measured time
    std::uint64_t largest_chunk = 0;  // never more than this; 0: no bound
    std::byte* rows = nullptr;  // where the fixed-size result of the call's item 0 belongs
    bool wanted_late = false;  // nobody does anything with the results before the last one is there
    bool single = false;  // a call, not an item of several: errors speak of a task
    bool fail_fast = false;  // for sites that run a batch in one go: stop at the first error
    std::shared_ptr<const std::atomic<std::uint32_t>> draining = {};  // … and when this is no longer 0
};

class Engine {
  public:
    /// Starts the workers. Throws Error when they cannot be made.
    explicit Engine(EngineOptions options);
    /// Kills the workers and waits until they are gone.
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    using JobId = std::uint64_t;
    using FunctionId = std::uint64_t;

    /// A function for the jobs to come; kept until forget().
    FunctionId add_function(const Function& function);
    void forget(FunctionId function);

    /// Gives work to the workers. `items` are read until the job is over (Items::stays), or copied at once; `sink` is
    /// called until then. `over` is called once, as the sink is.
    JobId add_job(FunctionId function, std::uint32_t result_size, const Items& items, JobOptions options, Sink& sink,
                  std::function<void()> over = {});
    /// Drops what has not been started. The job is over when nothing of it runs any more, or at once with `at_once`:
    /// then its sink is never called again. Not of a job that works in place: then it returns false, and `over` comes.
    bool cancel(JobId job, bool at_once);
    /// Whether a worker has taken an item of a job; of one that is over: true.
    bool has_begun(JobId job);
    /// Ends a job of which no worker has taken an item, without a call of its sink or `over`. False when one has.
    bool take_back(JobId job);
    /// Starts nothing more of a job. What runs is told so (stop_requested); its results still come.
    void drain_job(JobId job);

    enum class Role { caller, service };
    /// Makes progress until `done` holds; false when `until` has passed. `done` is called with the engine locked. A
    /// service drives only while no caller does, and for a moment after.
    bool drive(const std::function<bool()>& done,
               std::optional<std::chrono::steady_clock::time_point> until = std::nullopt, Role role = Role::caller);
    /// From now on a thread of the engine's own drives.
    void start_service();
    /// Looks at the engine anew: for a driver whose `done` depends on something else too.
    void wake();

    /// Ends everything: every unfinished item fails with `why`, the workers are sent `signal`. Those that outlive it are
    /// killed when the engine ends, some seconds later at the earliest.
    void terminate(const std::exception_ptr& why, int signal = SIGKILL);

    /// Calls `tell`, once, when the workers are gone for good (BrokenProcessPool), with the engine locked: it must be quick.
    void when_broken(std::function<void(const std::exception_ptr&)> tell);

    /// Takes notice of what has happened when nobody drove.
    void look();
    std::vector<WorkerStats> stats();

  private:
    struct Job;
    struct Staged;
    struct Worker;
    struct Mail;

    void end();
    void start_worker(Worker& worker);
    void place(Job& job, JobBlock& block, const Items& items, const Staged& staged);
    void deliver_placed(Job& job, std::uint64_t first, std::uint64_t count);
    void deliver_values(Job& job, std::uint64_t first, std::span<const std::span<const std::byte>> all);
    bool advance();
    void open_mail();
    void worker_ended(Worker& worker, process::Ended how);
    void settle_loss(Worker& worker, process::Ended how);
    void take(Worker& worker, const ReceivedFrame& frame);
    void drain(Worker& worker);
    bool without_progress(Job& job);
    void fail_rest(Job& job, const std::exception_ptr& error);
    void withdraw(Job& job);
    bool untouched(const Job& job, bool keep_so);
    void give_back(Job& job, std::uint64_t begin, std::uint64_t end, bool one_by_one);
    void fail_item(Job& job, std::uint64_t index, const std::exception_ptr& error, const WorkerInfo& worker);
    void publish_waiting();
    void retire_ranges();
    void find_orphans();
    void finish_jobs();
    void finish(Job& job);
    void watch_time();
    void watch_memory();
    bool is_overdue(const Worker& worker, std::chrono::steady_clock::time_point now) const;
    bool stays_stopped(Worker& worker, std::chrono::steady_clock::time_point now) const;
    void break_down(const std::exception_ptr& why, int signal = SIGKILL);
    bool works_on(const Worker& worker, const Job& job) const;
    bool nobody_works_on(const Job& job) const;
    WorkerInfo info(const Worker& worker) const;
    WorkerStats stats_of(const Worker& worker) const;
    std::string describe(const Worker& worker) const;
    std::string how_it_ended(const Worker& worker, const process::Ended& how);

    EngineOptions options_;
    std::string host_;
    os::UniqueFd control_fd_;
    os::Mapping control_mapping_;
    ControlBlock& control_;
    Arena arena_;
    std::size_t ring_bytes_;
    shm::Patience patience_;
    std::chrono::nanoseconds quiet_;  // how long who drives sleeps without news
    std::uint64_t probe_word_;

    std::mutex mutex_;
    std::condition_variable turn_;
    bool driving_ = false;
    int waiting_ = 0;
    int callers_ = 0;  // in drive(), other than services
    // A service that gives way sleeps apart: waking it each time that the engine changes hands would cost every caller a
    // switch between threads.
    std::condition_variable service_turn_;
    const std::function<bool()>* sleeping_service_ = nullptr;  // its `done`
    bool serviced_ = false;  // by some service, now or before: when the last caller left matters only then
    std::chrono::steady_clock::time_point caller_left_{};

    std::shared_ptr<process::ForkServer> server_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::shared_ptr<Mail> mail_;
    std::map<JobId, std::unique_ptr<Job>> jobs_;
    struct KeptFunction {
        ArenaBlock block;
        std::size_t bytes;
        int jobs = 0;
        bool forgotten = false;
    };
    std::map<FunctionId, KeptFunction> functions_;
    std::uint64_t next_id_ = 1;
    struct PendingRange {
        JobId job;
        std::uint64_t begin, end;
        bool one_by_one;
    };
    std::deque<PendingRange> pending_;
    std::deque<std::pair<std::uint64_t, JobId>> open_ranges_;  // (sequence, job), published and not retired
    std::vector<std::span<const std::byte>> values_;  // of the frame that is being read
    bool check_orphans_ = false;
    // Kills by the kernel for want of memory, of whomever: at the last look but one, and at the last. A look comes at most once
    // a second, so a worker's end is known long before its kill is among `before`.
    struct {
        std::uint64_t before, last;
        std::chrono::steady_clock::time_point looked{};
    } memory_kills_;
    std::exception_ptr broken_;
    std::function<void(const std::exception_ptr&)> tell_broken_;
    bool ending_ = false;
    std::optional<std::chrono::steady_clock::time_point> kill_from_;  // workers that were asked to end have until then
    bool stop_service_ = false;
    std::thread service_;
};

}  // namespace rankpool::pool
