// An executor's map: a task for every `chunksize` items, results in the order of the items.
#pragma once

#include <deque>
#include <memory>

#include "pool/task_queue.hpp"

namespace rankpool::pool {

class TaskMap {
  public:
    TaskMap(std::shared_ptr<TaskQueue> queue, const MapPlan& plan);
    ~TaskMap();
    TaskMap(const TaskMap&) = delete;
    TaskMap& operator=(const TaskMap&) = delete;

    void start(std::shared_ptr<const KnownFunction> function, Pull pull);
    StreamItem next(Deadline until);
    void drop();

  private:
    bool submit_chunk(const Pull& pull);
    void fill();

    std::shared_ptr<TaskQueue> queue_;
    MapPlan plan_;
    Pull pull_;
    std::deque<std::shared_ptr<Task>> chunks_;
    std::deque<std::uint64_t> counts_;
    std::uint32_t item_size_ = 0;
    std::uint64_t read_ = 0;            // items
    std::size_t index_ = 0, taken_ = 0;  // items handed out: of all, of the first chunk
    bool input_ended_ = false;
    std::exception_ptr input_error_;  // thrown at its place, which is the end
};

}  // namespace rankpool::pool
