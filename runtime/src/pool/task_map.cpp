#include "pool/task_map.hpp"

#include <stdexcept>
#include <string>

#include <rankpool/error.hpp>

namespace rankpool::pool {

TaskMap::TaskMap(std::shared_ptr<TaskQueue> queue, const MapPlan& plan) : queue_(std::move(queue)), plan_(plan) {}

TaskMap::~TaskMap() { queue_->let_go(this); }

void TaskMap::start(std::shared_ptr<const KnownFunction> function, Pull pull) {
    item_size_ = function->item_size();
    queue_->keep(this, std::move(function));
    if (plan_.buffersize > 0) {
        pull_ = std::move(pull);
        return fill();
    }
    try {
        while (submit_chunk(pull)) {
        }
    } catch (...) {
        drop();
        throw;
    }
    queue_->let_go(this);
}

// False at the end of the input.
bool TaskMap::submit_chunk(const Pull& pull) {
    Task::Work work;
    work.first = read_;
    work.count = 0;
    std::exception_ptr error;
    std::shared_ptr<Task> refused;
    while (work.count < plan_.chunksize && !input_ended_ && !refused) {
        const std::size_t before = work.items.size();
        try {
            input_ended_ = !pull(work.items);
        } catch (const RefusedItem& item) {  // fails alone, at its place
            work.items.shrink(before);
            refused = queue_->submit_failed(item.error);
            break;
        } catch (...) {
            error = std::current_exception();
            work.items.shrink(before);
            input_ended_ = true;
        }
        if (input_ended_) break;
        if (item_size_ == 0) work.ends.push_back(work.items.size());
        ++work.count;
    }
    read_ += work.count;
    if (work.count > 0) {
        const std::uint64_t count = work.count;
        chunks_.push_back(queue_->add(std::move(work), this));
        counts_.push_back(count);
    }
    if (refused) {
        ++read_;
        chunks_.push_back(std::move(refused));
        counts_.push_back(1);
    }
    if (error) std::rethrow_exception(error);
    return !input_ended_;
}

void TaskMap::fill() {
    const auto visit = Core::Work::visit(queue_->core().shared_from_this());  // the sites stay meanwhile
    try {
        while (!input_ended_ && chunks_.size() < plan_.buffersize) submit_chunk(pull_);
    } catch (...) {
        input_ended_ = true;
        input_error_ = std::current_exception();
    }
}

StreamItem TaskMap::next(Deadline until) {
    if (plan_.buffersize > 0) fill();
    const std::size_t index = index_;
    if (chunks_.empty()) {
        if (!input_error_) return {};
        return {StreamItem::error, index, {}, std::exchange(input_error_, nullptr)};
    }
    Task& task = *chunks_.front();
    if (!queue_->has(task, taken_)) queue_->core().check_may_wait("the next result of a map");
    const auto there = [&] { return TaskQueue::has_locked(task, taken_); };
    const bool own_limit = plan_.until && (!until || *plan_.until <= *until);
    if (!queue_->wait_until(there, own_limit ? plan_.until : until)) {
        if (!own_limit) return {StreamItem::timeout, index, {}, {}};
        drop();
        return {StreamItem::error, index, {}, std::make_exception_ptr(TimeoutError("the map's timeout has passed: item " + std::to_string(index) +
                                                                                   " was not ready, and what has not begun was cancelled"))};
    }
    StreamItem item;
    item.index = index;
    item.kind = StreamItem::result;
    item.bytes = queue_->take(task, taken_, item.what);
    if (item.what) item.kind = StreamItem::error;
    ++index_;
    if (++taken_ == counts_.front()) {
        chunks_.pop_front();
        counts_.pop_front();
        taken_ = 0;
    }
    return item;
}

void TaskMap::drop() {
    if (!queue_->is_here()) return;  // a copy made by the program's own fork
    for (const auto& task : chunks_) queue_->cancel(*task);
    chunks_.clear();
    counts_.clear();
    input_ended_ = true;
    input_error_ = nullptr;
    pull_ = nullptr;
    queue_->let_go(this);
}

// ---- the seam ----

std::shared_ptr<TaskMap> open_map(const std::shared_ptr<TaskQueue>& queue, const task::Descriptor& descriptor,
                                  std::span<const std::byte> function, const MapPlan& plan, Pull pull) {
    if (plan.chunksize == 0) throw std::invalid_argument("ProcessPoolExecutor::map: chunksize = 0; expected 1 or more");
    queue->check_open();
    const auto visit = Core::Work::visit(queue->core().shared_from_this());
    if (!visit) queue->check_open();
    auto map = std::make_shared<TaskMap>(queue, plan);
    map->start(queue->core().know(descriptor, function), std::move(pull));
    return map;
}

StreamItem next_of(TaskMap& map, Deadline until) { return map.next(until); }
void drop_map(TaskMap& map) { map.drop(); }

}  // namespace rankpool::pool
