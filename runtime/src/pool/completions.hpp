// Tasks, of one executor or several, as they are over: for wait() and as_completed().
//
// Whoever waits for tasks of one executor drives its engine; for those of several it sleeps until it is told, and the
// executors' service threads do the work.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <rankpool/pool/task.hpp>

namespace rankpool::pool {

class Completions {
  public:
    Completions(std::vector<std::shared_ptr<Task>> tasks, Deadline until);
    ~Completions();
    Completions(const Completions&) = delete;
    Completions& operator=(const Completions&) = delete;

    /// A task is over. With its queue locked.
    void tell(std::size_t index, bool failed);

    void wait(ReturnWhen when, Deadline until);
    /// See next_of() in task.hpp.
    std::optional<std::size_t> next(Deadline until);

  private:
    bool wait_until(const std::function<bool()>& done_locked, Deadline until);

    std::vector<std::shared_ptr<Task>> tasks_;  // null once handed out
    Deadline until_;
    bool ended_ = false;

    std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::map<TaskQueue*, std::size_t> unfinished_;  // tasks
    std::size_t left_;                              // unfinished ones of all queues
    std::deque<std::size_t> over_;                  // not handed out
    bool any_failed_ = false;
};

}  // namespace rankpool::pool
