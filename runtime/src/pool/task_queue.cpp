#include "pool/task_queue.hpp"

#include <unistd.h>

#include <algorithm>

#include "pool/completions.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {

constexpr std::size_t no_site = ~std::size_t{0};
// Functions of tasks that are over wait for the next occasion to be freed, but not more than this many.
constexpr std::size_t most_released = 64;

}  // namespace

// ---- a task, as its site sees it ----

Task::Task(std::shared_ptr<TaskQueue> queue, Work work) : queue_(std::move(queue)), work_(std::move(work)), results_(static_cast<std::size_t>(work_.count)) {
    if (work_.function) result_size_ = work_.function->result_size();
}

bool Task::failed() const {
    return std::any_of(results_.begin(), results_.end(), [](const Result& result) { return result.failure || result.error; });
}

void Task::store(std::uint64_t index, std::span<const std::byte> bytes) {
    // Nobody looks at a result before it is there.
    Result& result = at(index);
    result.bytes.reserve(bytes.size());
    result.bytes.append(bytes.data(), bytes.size());
    const std::lock_guard lock(queue_->mutex_);
    result.there = true;
    if (work_.count > 1) queue_->changed_.notify_all();
}

void Task::fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) {
    for (std::uint64_t i = 0; i < count; ++i) store(first + i, {results + i * result_size_, result_size_});
}

void Task::value(std::uint64_t index, std::span<const std::byte> bytes) { store(index, bytes); }

void Task::failed(std::uint64_t index, Failure failure) {
    const std::lock_guard lock(queue_->mutex_);
    Result& result = at(index);
    result.failure = std::move(failure);
    result.there = true;
    if (work_.count > 1) queue_->changed_.notify_all();
}

void Task::rest_failed(Failure failure) {
    const std::lock_guard lock(queue_->mutex_);
    if (!queue_->end_ && is_broken_pool(exception_of(failure, std::nullopt))) queue_->break_down(failure);
    const Failure& why = queue_->end_ ? *queue_->end_ : failure;
    for (Result& result : results_) {
        if (result.there) continue;
        result.failure = why;
        result.there = true;
    }
}

void Task::taken_back() { queue_->site_is_over(*this, TaskState::cancelled); }

// ---- submitting ----

TaskQueue::TaskQueue(std::shared_ptr<Core> core, bool serial, bool initialized)
    : core_(std::move(core)), serial_(serial), initialized_(initialized) {
    for (const auto& site : core_->sites()) places_.push_back({static_cast<std::size_t>(site->workers()), 0});
}

bool TaskQueue::is_here() const { return core_->is_here(); }

void TaskQueue::check_open_locked() const {
    if (broken_) std::rethrow_exception(exception_of(*broken_, std::nullopt));
    if (const auto broken = core_->broken()) std::rethrow_exception(broken);
    if (closed_) throw ExecutorShutdown("the executor was shut down: it takes no new tasks; make another executor");
}

void TaskQueue::check_open() {
    core_->check_is_here();
    const std::lock_guard lock(mutex_);
    check_open_locked();
}

std::shared_ptr<Task> TaskQueue::submit(const task::Descriptor& descriptor, std::span<const std::byte> function, wire::Buffer item) {
    check_open();
    const auto visit = Core::Work::visit(core_);  // the sites stay meanwhile
    if (!visit) throw ExecutorShutdown("the executor was shut down: it takes no new tasks; make another executor");
    Task::Work work;
    work.function = core_->know(descriptor, function);
    if (work.function->item_size() == 0) work.ends.push_back(item.size());
    work.items = std::move(item);
    work.single = true;
    return add(std::move(work));
}

std::shared_ptr<Task> TaskQueue::submit_failed(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    check_open_locked();
    auto task = std::make_shared<Task>(shared_from_this(), Task::Work());
    task->results_.front().error = std::move(error);
    task->results_.front().there = true;
    task->state_ = TaskState::finished;
    return task;
}

std::shared_ptr<Task> TaskQueue::add(Task::Work work, const void* owner) {
    std::shared_ptr<Task> task;
    Lock lock(mutex_);  // after the task: should it be refused, its function is freed without the lock
    check_open_locked();
    if (owner != nullptr) work.function = kept_.at(owner);
    task = std::make_shared<Task>(shared_from_this(), std::move(work));
    if (serial_) {
        give(task, 0, lock);
    } else {
        if (!served_) core_->need_service();
        served_ = true;
        task->place_ = pending_.insert(pending_.end(), task);
    }
    hand(lock);
    if (task->refused_) check_open_locked();
    return task;
}

// ---- giving tasks to sites ----

std::size_t TaskQueue::hungry_site_locked() const {
    std::size_t hungriest = no_site;
    double least = 1;
    for (std::size_t site = 0; site < places_.size(); ++site) {
        const double busy = static_cast<double>(places_[site].given) / static_cast<double>(places_[site].workers);
        if (busy >= least) continue;
        hungriest = site;
        least = busy;
    }
    return hungriest;
}

bool TaskQueue::needs_hand_locked() const {
    if (handing_) return false;
    return to_terminate_ || released_.size() > most_released || (!pending_.empty() && hungry_site_locked() != no_site);
}

void TaskQueue::hand(Lock& lock) {
    if (handing_) return;
    handing_ = true;
    for (;;) {
        if (!released_.empty()) {
            auto released = std::move(released_);
            released_.clear();
            lock.unlock();
            released.clear();
            lock.lock();
        } else if (std::exchange(to_terminate_, false)) {
            lock.unlock();
            core_->terminate();
            lock.lock();
        } else {
            const std::size_t site = pending_.empty() ? no_site : hungry_site_locked();
            if (site == no_site) break;
            auto task = std::move(pending_.front());
            pending_.pop_front();
            give(std::move(task), site, lock);
        }
    }
    handing_ = false;
    if (closed_ && idle_locked()) changed_from_outside();
}

void TaskQueue::give(std::shared_ptr<Task> task, std::size_t site, Lock& lock) {
    task->state_ = TaskState::given;
    task->site_ = site;
    task->begun_ = serial_ || !initialized_;
    task->place_ = given_.insert(given_.end(), task);
    ++places_[site].given;
    const Task::Work& work = task->work_;
    const std::uint64_t function = work.function->at(site);
    // Copied by the site: the arguments go as soon as the task is over, when a worker that is being killed may still read.
    const Items items{work.first, work.count, work.items.data(), work.ends.empty() ? nullptr : work.ends.data(), work.function->item_size(), false};
    const JobOptions options{.chunk = work.count, .largest_chunk = work.count, .single = work.single};
    const std::uint32_t result_size = work.function->result_size();
    lock.unlock();  // the site may answer at once
    std::exception_ptr refused;
    std::uint64_t batch = 0;
    try {
        batch = core_->sites()[site]->give(function, result_size, items, options, *task, [task] { task->queue_->site_is_over(*task, TaskState::finished); });
    } catch (...) {
        refused = std::current_exception();
    }
    lock.lock();
    if (!refused) {
        task->batch_ = batch;
        if (!task->begun_) changed_.notify_all();  // who would take it back waits for this
        return;
    }
    Failure failure = failure_of(refused);
    if (!end_ && is_broken_pool(exception_of(failure, std::nullopt))) break_down(failure);
    task->refused_ = broken_.has_value();
    for (Task::Result& result : task->results_) {
        if (end_)
            result.failure = *end_;
        else
            result.error = refused;
        result.there = true;
    }
    leave_site(*task, TaskState::finished);
    changed_from_outside();
}

void TaskQueue::leave_site(Task& task, TaskState state) {
    const auto self = std::move(*task.place_);
    given_.erase(task.place_);
    --places_[task.site_].given;
    end_task(task, state);
}

// Maybe with the site locked.
void TaskQueue::site_is_over(Task& task, TaskState state) {
    const std::lock_guard lock(mutex_);
    leave_site(task, state);
    if (waiting_ > 0 || to_be_attended_ || !needs_hand_locked()) return;  // who waits does what there is to do
    to_be_attended_ = true;
    core_->attend(shared_from_this());
}

void TaskQueue::end_task(Task& task, TaskState state) {
    task.state_ = state;
    // Freeing a function asks the sites, which may be locked.
    if (task.work_.function) released_.push_back(std::move(task.work_.function));
    task.work_.items = wire::Buffer();
    task.work_.ends = {};
    const bool failed = state == TaskState::finished && task.failed();
    for (const auto& [watcher, index] : task.watchers_) watcher->tell(index, failed);
    task.watchers_.clear();
    if (!task.callbacks_.empty()) {
        core_->call_back([self = task.shared_from_this()] { self->queue_->run_callbacks(*self); });
    }
    changed_.notify_all();
}

void TaskQueue::attend() {
    Lock lock(mutex_);
    to_be_attended_ = false;
    hand(lock);
}

// Wakes those who wait in the engine for something that did not happen there.
void TaskQueue::changed_from_outside() {
    changed_.notify_all();
    if (core_->own() != nullptr) core_->own()->wake();
}

// ---- ends that are not a result ----

template <class How>
void TaskQueue::end_pending(How&& how) {
    if (pending_.empty()) return;
    const auto ended = std::move(pending_);
    pending_.clear();
    for (const auto& task : ended) how(*task);
    changed_from_outside();
}

bool TaskQueue::cancel(Task& task) {
    core_->check_is_here();  // before the lock, which somebody may have held when this process was forked
    const auto visit = Core::Work::visit(core_);
    Lock lock(mutex_);
    if (task.state_ == TaskState::pending) {
        const auto self = std::move(*task.place_);
        pending_.erase(task.place_);
        end_task(task, TaskState::cancelled);
        changed_from_outside();
        return true;
    }
    if (visit && may_be_pending_there(task, lock)) take_back({task.shared_from_this()}, lock);
    if (visit && needs_hand_locked()) hand(lock);  // the next may have its place
    return task.state_ == TaskState::cancelled;
}

// Whether a task was given to a site, and no worker is known to have taken it.
bool TaskQueue::may_be_pending_there(const Task& task, Lock& lock) {
    changed_.wait(lock, [&] {
        const bool on_its_way = task.state_ == TaskState::given && !task.begun_ && !task.batch_;
        return !on_its_way && !task.being_taken_back_;
    });
    return task.state_ == TaskState::given && !task.begun_;
}

// Cancels those of the tasks that their site still has for the asking.
void TaskQueue::take_back(const std::vector<std::shared_ptr<Task>>& tasks, Lock& lock) {
    std::map<std::size_t, std::vector<std::shared_ptr<Task>>> by_site;
    for (const auto& task : tasks) {
        if (!may_be_pending_there(*task, lock)) continue;
        task->being_taken_back_ = true;
        by_site[task->site_].push_back(task);
    }
    std::exception_ptr error;
    for (const auto& [site, there] : by_site) {
        std::vector<std::uint64_t> batches;
        for (const auto& task : there) batches.push_back(*task->batch_);
        std::vector<std::optional<bool>> taken(there.size());
        lock.unlock();
        try {
            taken = core_->sites()[site]->take_back(batches);
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        for (std::size_t i = 0; i < there.size(); ++i) {
            Task& task = *there[i];
            task.being_taken_back_ = false;
            if (!taken[i]) continue;
            task.begun_ = !*taken[i];
            if (*taken[i] && task.state_ == TaskState::given) leave_site(task, TaskState::cancelled);
        }
        changed_from_outside();
    }
    if (error) std::rethrow_exception(error);
}

void TaskQueue::take_back_given() {
    const auto visit = Core::Work::visit(core_);
    if (!visit) return;
    std::vector<std::shared_ptr<Task>> tasks;  // freed without the lock
    Lock lock(mutex_);
    tasks.assign(given_.begin(), given_.end());
    take_back(tasks, lock);
}

void TaskQueue::break_down(const Failure& why) {
    broken_ = end_ = why;
    to_terminate_ = core_->sites().size() > 1;  // the others' workers
    end_pending([&](Task& task) {
        task.refused_ = true;
        for (Task::Result& result : task.results_) {
            result.failure = why;
            result.there = true;
        }
        end_task(task, TaskState::finished);
    });
}

void TaskQueue::end_workers(int signal, const char* by) {
    core_->check_is_here();
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        if (!end_)
            end_ = failure_of(std::make_exception_ptr(BrokenProcessPool(std::string(by) + " ended the executor's workers while this task was running")));
        end_pending([this](Task& task) { end_task(task, TaskState::cancelled); });
    }
    take_back_given();
    if (const auto visit = Core::Work::visit(core_)) core_->end_workers(signal);
}

// ---- asking ----

TaskState TaskQueue::state_of(const Task& task) {
    core_->check_is_here();
    const std::lock_guard lock(mutex_);
    return task.state_;
}

bool TaskQueue::is_running(Task& task) {
    core_->check_is_here();
    const auto visit = Core::Work::visit(core_);
    Lock lock(mutex_);
    if (!visit || !may_be_pending_there(task, lock)) return task.state_ == TaskState::given && task.begun_;
    lock.unlock();
    const std::optional<bool> begun = core_->sites()[task.site_]->has_begun(*task.batch_);
    lock.lock();
    // Somebody may take it back meanwhile: then it has not begun, whatever its site says of a batch that it has no more.
    if (!may_be_pending_there(task, lock)) return task.state_ == TaskState::given && task.begun_;
    task.begun_ = begun.value_or(false);
    return begun.value_or(true);
}

bool TaskQueue::has(const Task& task, std::size_t index) {
    const std::lock_guard lock(mutex_);
    return has_locked(task, index);
}

wire::Buffer TaskQueue::take(Task& task, std::size_t index, std::exception_ptr& error) {
    Task::Result& result = task.results_[index];  // which nobody changes any more
    if (state_of(task) == TaskState::cancelled)
        error = std::make_exception_ptr(CancelledError("the task was cancelled before it began"));
    else if (result.error)
        error = result.error;
    else if (result.failure)
        error = exception_of(*result.failure, static_cast<std::size_t>(task.work_.first) + index);
    return std::exchange(result.bytes, {});
}

void TaskQueue::when_over(const std::shared_ptr<Task>& task, std::function<void()> then) {
    core_->check_is_here();
    {
        const std::lock_guard lock(mutex_);
        if (!over_locked(*task) || !task->callbacks_.empty()) {
            task->callbacks_.push_back(std::move(then));
            return;
        }
    }
    run_callback(core_->number(), then);
}

void TaskQueue::run_callbacks(Task& task) {
    for (;;) {
        std::function<void()> next;
        {
            const std::lock_guard lock(mutex_);
            if (task.callbacks_.empty()) return;
            next = std::move(task.callbacks_.front());
            task.callbacks_.pop_front();
        }
        run_callback(core_->number(), next);
    }
}

void TaskQueue::watch(Task& task, Completions& watcher, std::size_t index) {
    core_->check_is_here();
    const std::lock_guard lock(mutex_);
    if (over_locked(task))
        watcher.tell(index, task.state_ == TaskState::finished && task.failed());
    else
        task.watchers_.emplace_back(&watcher, index);
}

void TaskQueue::unwatch(Task& task, Completions& watcher) {
    const std::lock_guard lock(mutex_);
    std::erase_if(task.watchers_, [&](const auto& each) { return each.first == &watcher; });
}

bool TaskQueue::wait_until(const std::function<bool()>& done, Deadline until) {
    core_->check_is_here();
    Lock lock(mutex_);
    if (done()) return true;
    const auto visit = Core::Work::visit(core_);  // the engine stays while this thread is in it
    ++waiting_;
    bool reached = true;
    while (!done()) {
        if (until && Clock::now() >= *until) {
            reached = false;
            break;
        }
        if (needs_hand_locked()) {
            hand(lock);
            continue;
        }
        Engine* engine = visit ? core_->own() : nullptr;
        if (engine == nullptr) {
            if (until)
                changed_.wait_until(lock, *until);
            else
                changed_.wait(lock);
            continue;
        }
        lock.unlock();
        engine->drive([&] {
            const std::lock_guard guard(mutex_);
            return done() || needs_hand_locked();
        }, until);
        lock.lock();
    }
    --waiting_;
    if (visit && needs_hand_locked()) hand(lock);
    return reached;
}

std::vector<WorkerInfo> TaskQueue::workers() {
    core_->check_is_here();
    const auto visit = Core::Work::visit(core_);
    return visit ? core_->workers() : std::vector<WorkerInfo>();
}

// ---- functions that outlast their tasks ----

void TaskQueue::keep(const void* owner, std::shared_ptr<const KnownFunction> function) {
    const std::lock_guard lock(mutex_);
    check_open_locked();
    kept_[owner] = std::move(function);
}

void TaskQueue::let_go(const void* owner) {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(owner);
    if (found == kept_.end()) return;
    released_.push_back(std::move(found->second));
    kept_.erase(found);
}

// ---- the end ----

void TaskQueue::close(bool cancel_pending) {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        if (!cancel_pending) return;
        end_pending([this](Task& task) { end_task(task, TaskState::cancelled); });
    }
    take_back_given();
}

void TaskQueue::finish() {
    close(false);
    wait_until([this] { return idle_locked(); }, std::nullopt);
    Lock lock(mutex_);
    if (ending_) {
        if (!core_->on_service_thread()) changed_.wait(lock, [this] { return ended_; });
        return;
    }
    ending_ = true;
    auto released = std::move(released_);
    for (auto& entry : kept_) released.push_back(std::move(entry.second));
    released_.clear();
    kept_.clear();
    lock.unlock();
    released.clear();
    core_->shut_down();
    lock.lock();
    ended_ = true;
    changed_.notify_all();
}

// ---- the seam ----

void require_open(TaskQueue& queue) { queue.check_open(); }

std::shared_ptr<Task> submit_task(const std::shared_ptr<TaskQueue>& queue, const task::Descriptor& descriptor,
                                  std::span<const std::byte> function, wire::Buffer item) {
    return queue->submit(descriptor, function, std::move(item));
}

std::shared_ptr<Task> submit_failed(const std::shared_ptr<TaskQueue>& queue, std::exception_ptr error) {
    return queue->submit_failed(std::move(error));
}

TaskState state_of(const Task& task) { return task.queue().state_of(task); }
bool is_running(Task& task) { return task.queue().is_running(task); }
bool cancel(Task& task) { return task.queue().cancel(task); }
wire::Buffer take_result(Task& task, std::exception_ptr& error) { return task.queue().take(task, 0, error); }
void when_over(Task& task, std::function<void()> then) { task.queue().when_over(task.shared_from_this(), std::move(then)); }

bool wait_for(Task& task, Deadline until) {
    TaskQueue& queue = task.queue();
    const TaskState now = queue.state_of(task);
    if (now == TaskState::finished || now == TaskState::cancelled) return true;
    queue.core().check_may_wait("a wait for a future");
    return queue.wait_until([&task] { return TaskQueue::over_locked(task); }, until);
}

}  // namespace rankpool::pool
