#include <rankpool/executor.hpp>

#include <csignal>
#include <stdexcept>
#include <string>

#include "pool/core.hpp"
#include "pool/living_queues.hpp"
#include <rankpool/pool.hpp>

namespace rankpool {
namespace {

constexpr const char* name = "ProcessPoolExecutor";

std::shared_ptr<pool::TaskQueue> open_queue(const ExecutorOptions& options) {
    if (options.max_workers < 0)
        throw std::invalid_argument(std::string(name) + ": max_workers = " + std::to_string(options.max_workers) + "; expected 0 (all usable CPUs) or more");
    PoolOptions workers;
    workers.processes = options.max_workers;
    workers.backend = options.backend;
    workers.initializer = options.initializer;
    workers.max_tasks_per_child = options.max_tasks_per_child;
    workers.on_loss = options.on_loss;
    workers.max_retries = options.max_retries;
    workers.task_timeout = options.task_timeout;
    auto queue = std::make_shared<pool::TaskQueue>(pool::make_core(workers, name), options.backend == Backend::serial, static_cast<bool>(options.initializer));
    pool::complete_at_end(queue);
    return queue;
}

}  // namespace

ProcessPoolExecutor::ProcessPoolExecutor(ExecutorOptions options) : queue_(open_queue(options)) {}

ProcessPoolExecutor::~ProcessPoolExecutor() {
    if (!queue_->is_here())
        new std::shared_ptr<pool::TaskQueue>(queue_);  // a copy made by the program's own fork: its threads are elsewhere
    else if (queue_->core().in_callback())
        shutdown(false);
    else
        queue_->finish();
}

void ProcessPoolExecutor::shutdown(bool wait, bool cancel_futures) {
    if (!queue_->is_here()) return;
    if (wait) queue_->core().check_may_wait("shutdown(true)");
    queue_->close(cancel_futures);
    if (wait)
        queue_->finish();
    else
        pool::complete_in_background(queue_);
}

void ProcessPoolExecutor::terminate_workers() { queue_->end_workers(SIGTERM, "terminate_workers()"); }
void ProcessPoolExecutor::kill_workers() { queue_->end_workers(SIGKILL, "kill_workers()"); }
int ProcessPoolExecutor::size() const { return queue_->core().size(); }
std::vector<WorkerInfo> ProcessPoolExecutor::workers() const { return queue_->workers(); }

}  // namespace rankpool
