#include "pool/completions.hpp"

#include <algorithm>
#include <string>

#include "pool/task_queue.hpp"
#include <rankpool/error.hpp>
#include <rankpool/future.hpp>

namespace rankpool::pool {

Completions::Completions(std::vector<std::shared_ptr<Task>> tasks, Deadline until)
    : tasks_(std::move(tasks)), until_(until), left_(tasks_.size()) {
    for (const auto& task : tasks_) ++unfinished_[&task->queue()];
    for (std::size_t i = 0; i < tasks_.size(); ++i) tasks_[i]->queue().watch(*tasks_[i], *this, i);
}

Completions::~Completions() {
    for (const auto& task : tasks_)
        if (task) task->queue().unwatch(*task, *this);
}

void Completions::tell(std::size_t index, bool failed) {
    const std::lock_guard lock(mutex_);
    over_.push_back(index);
    any_failed_ |= failed;
    --left_;
    const auto queue = unfinished_.find(&tasks_[index]->queue());
    if (--queue->second == 0) unfinished_.erase(queue);
    changed_.notify_all();
}

bool Completions::wait_until(const std::function<bool()>& done_locked, Deadline until) {
    std::unique_lock lock(mutex_);
    if (done_locked()) return true;
    for (const auto& [queue, count] : unfinished_) queue->core().check_may_wait("a wait for futures");
    if (unfinished_.size() == 1) {
        const auto queue = unfinished_.begin()->first->shared_from_this();
        lock.unlock();
        return queue->wait_until([&] {
            const std::lock_guard guard(mutex_);
            return done_locked();
        }, until);
    }
    if (until) return changed_.wait_until(lock, *until, done_locked);
    changed_.wait(lock, done_locked);
    return true;
}

void Completions::wait(ReturnWhen when, Deadline until) {
    wait_until([&] {
        if (left_ == 0) return true;
        switch (when) {
            case ReturnWhen::first_completed: return !over_.empty();
            case ReturnWhen::first_exception: return any_failed_;
            case ReturnWhen::all_completed: break;
        }
        return false;
    }, until);
}

std::optional<std::size_t> Completions::next(Deadline until) {
    if (ended_) return std::nullopt;
    const bool own_limit = until_ && (!until || *until_ <= *until);
    const bool reached = wait_until([&] { return !over_.empty() || left_ == 0; }, own_limit ? until_ : until);
    std::unique_lock lock(mutex_);
    if (!over_.empty()) {
        const std::size_t index = over_.front();
        over_.pop_front();
        lock.unlock();
        tasks_[index].reset();
        return index;
    }
    if (reached || left_ == 0) {
        ended_ = true;
        return std::nullopt;
    }
    ended_ = own_limit;
    throw TimeoutError(std::to_string(left_) + " (of " + std::to_string(tasks_.size()) + ") futures unfinished when the time was over");
}

// ---- the seam ----

void wait_for_tasks(const std::vector<std::shared_ptr<Task>>& tasks, Deadline until, ReturnWhen when) {
    Completions(tasks, until).wait(when, until);
}

std::shared_ptr<Completions> watch_tasks(const std::vector<std::shared_ptr<Task>>& tasks, Deadline until) {
    return std::make_shared<Completions>(tasks, until);
}

std::optional<std::size_t> next_of(Completions& completions, Deadline until) { return completions.next(until); }

}  // namespace rankpool::pool
