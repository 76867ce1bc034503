// An executor without its types: single tasks, each given to a worker in its turn, or cancelled before.
//
// A task is pending until it is given to a site, which has at most as many as it has workers: so "given" is "running". But
// where workers have an initializer to run first, which may take long, it runs only when one of them has taken it. All states
// change under the queue's mutex, and a site takes back what no worker has taken, or does not: a task is either run or
// cancelled, never both. Its arguments are freed when it is over, its result when no future holds it.
//
// Threads are as in core.hpp. Whoever waits drives the engine and gives the next tasks; when nobody waits, the service
// thread does. A site says that a task is over with its own lock held, so that thread only notes it. Order of locks: engine,
// then the queue's mutex, then those of Completions and Core.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "pool/core.hpp"
#include <rankpool/pool/task.hpp>

namespace rankpool::pool {

/// A call of one function with one item, or of a map's with some.
class Task final : public Sink, public std::enable_shared_from_this<Task> {
  public:
    /// `ends`: of serialized items, where each ends. `first`: index of the first item in its map.
    struct Work {
        std::shared_ptr<const KnownFunction> function;
        wire::Buffer items;
        std::vector<std::uint64_t> ends;
        std::uint64_t first = 0, count = 1;
        bool single = false;  // no map's
    };
    Task(std::shared_ptr<TaskQueue> queue, Work work);

    TaskQueue& queue() const { return *queue_; }

    // From its site; see Sink.
    void fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) override;
    void placed(std::uint64_t, std::uint64_t) override {}  // nobody asked for that
    void value(std::uint64_t index, std::span<const std::byte> bytes) override;
    void failed(std::uint64_t index, Failure failure) override;
    void rest_failed(Failure failure) override;
    void taken_back() override;

  private:
    friend class TaskQueue;
    struct Result {
        wire::Buffer bytes;
        std::optional<Failure> failure;
        std::exception_ptr error;  // that never travelled
        bool there = false;
    };
    bool failed() const;
    Result& at(std::uint64_t index) { return results_[static_cast<std::size_t>(index - work_.first)]; }
    void store(std::uint64_t index, std::span<const std::byte> bytes);

    std::shared_ptr<TaskQueue> queue_;
    std::uint32_t result_size_ = 0;

    // Guarded by the queue's mutex; results by it only once they are there.
    TaskState state_ = TaskState::pending;
    Work work_;
    std::vector<Result> results_;
    bool refused_ = false;  // it was never given to a worker, because there are none any more
    std::list<std::shared_ptr<Task>>::iterator place_;  // in pending_ or given_
    std::size_t site_ = 0;
    std::optional<std::uint64_t> batch_;  // there; none while it is being given
    bool begun_ = false;                  // a worker has it, for all we know
    bool being_taken_back_ = false;
    std::deque<std::function<void()>> callbacks_;
    std::vector<std::pair<Completions*, std::size_t>> watchers_;
};

class TaskQueue final : public Attended, public std::enable_shared_from_this<TaskQueue> {
  public:
    /// `serial`: tasks are run by the thread that submits them, at once. `initialized`: the workers run an initializer first.
    TaskQueue(std::shared_ptr<Core> core, bool serial, bool initialized);

    Core& core() const { return *core_; }
    std::vector<WorkerInfo> workers();

    /// Throws ExecutorShutdown or BrokenProcessPool when it takes no new tasks.
    void check_open();
    std::shared_ptr<Task> submit(const task::Descriptor& descriptor, std::span<const std::byte> function, wire::Buffer item);
    std::shared_ptr<Task> submit_failed(std::exception_ptr error);
    /// The same for a function that is kept for this owner, or comes with the work. The caller visits the core.
    std::shared_ptr<Task> add(Task::Work work, const void* owner = nullptr);

    TaskState state_of(const Task& task);
    bool is_running(Task& task);
    bool has(const Task& task, std::size_t index);
    /// True when it is cancelled now.
    bool cancel(Task& task);
    /// The result of item `index` of a task that has it, moved out; or `error`.
    wire::Buffer take(Task& task, std::size_t index, std::exception_ptr& error);
    void when_over(const std::shared_ptr<Task>& task, std::function<void()> then);
    void watch(Task& task, Completions& watcher, std::size_t index);
    void unwatch(Task& task, Completions& watcher);

    /// Waits until `done` holds; false when `until` has passed. `done` is called with an engine and this queue locked: it
    /// must be quick, and may ask what follows.
    bool wait_until(const std::function<bool()>& done, Deadline until);
    static bool over_locked(const Task& task) { return task.state_ == TaskState::finished || task.state_ == TaskState::cancelled; }
    /// Whether item `index` of the task has its result or error.
    static bool has_locked(const Task& task, std::size_t index) { return task.results_[index].there || task.state_ == TaskState::cancelled; }

    /// Takes no new tasks; with `cancel_pending` those that have not begun are cancelled.
    void close(bool cancel_pending);
    void end_workers(int signal, const char* by);
    /// close(), then waits for the end of all tasks; then nothing of the executor runs any more.
    void finish();
    /// In a copy of the process that the program's own fork made, nothing of it is there.
    bool is_here() const;

    /// Keeps a function for tasks to come, until the owner lets it go or the executor ends. Throws what check_open() throws.
    void keep(const void* owner, std::shared_ptr<const KnownFunction> function);
    void let_go(const void* owner);

    void attend() override;

  private:
    friend class Task;
    using Lock = std::unique_lock<std::mutex>;
    struct Place {
        std::size_t workers;
        std::size_t given;  // tasks that are not over
    };

    void check_open_locked() const;
    bool idle_locked() const { return pending_.empty() && given_.empty() && !handing_; }
    bool may_be_pending_there(const Task& task, Lock& lock);
    void take_back(const std::vector<std::shared_ptr<Task>>& tasks, Lock& lock);
    void take_back_given();
    void leave_site(Task& task, TaskState state);
    std::size_t hungry_site_locked() const;
    bool needs_hand_locked() const;
    void hand(Lock& lock);
    void give(std::shared_ptr<Task> task, std::size_t site, Lock& lock);
    void site_is_over(Task& task, TaskState state);
    void end_task(Task& task, TaskState state);
    template <class How>
    void end_pending(How&& how);
    void break_down(const Failure& why);
    void run_callbacks(Task& task);
    void changed_from_outside();

    std::shared_ptr<Core> core_;
    bool serial_, initialized_;

    std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::list<std::shared_ptr<Task>> pending_, given_;
    std::vector<Place> places_;  // by site
    int waiting_ = 0;  // in wait_until()
    bool handing_ = false, to_be_attended_ = false, served_ = false;
    bool closed_ = false, to_terminate_ = false, ending_ = false, ended_ = false;
    std::optional<Failure> end_;     // of what runs when the workers are gone
    std::optional<Failure> broken_;  // why there can be no new tasks
    std::vector<std::shared_ptr<const KnownFunction>> released_;  // to be freed without any lock
    std::map<const void*, std::shared_ptr<const KnownFunction>> kept_;
};

}  // namespace rankpool::pool
