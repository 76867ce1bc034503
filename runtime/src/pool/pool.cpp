#include <rankpool/pool.hpp>

#include <stdexcept>
#include <string>

#include "entry/works.hpp"
#include "pool/core.hpp"

namespace rankpool {
namespace {

void check(const PoolOptions& options, const char* who) {
    const auto refuse = [who](const std::string& what) { throw std::invalid_argument(std::string(who) + ": " + what); };
    if (options.processes < 0)
        refuse("processes = " + std::to_string(options.processes) + "; expected 0 (all usable CPUs) or more");
    if (options.max_tasks_per_child < 0)
        refuse("max_tasks_per_child = " + std::to_string(options.max_tasks_per_child) + "; expected 0 (no limit) or more");
    if (options.max_retries < 0) refuse("max_retries = " + std::to_string(options.max_retries) + "; expected 0 or more");
    const bool isolated = options.backend != Backend::threads && options.backend != Backend::serial;
    if (!isolated && options.task_timeout.count() != 0)
        refuse("task_timeout cannot be kept on threads or in the calling thread: nobody can stop them; use Backend::processes");
    if (!isolated && options.max_tasks_per_child != 0)
        refuse("max_tasks_per_child means nothing on threads or in the calling thread; use Backend::processes");
    if (options.task_timeout.count() < 0)
        refuse("task_timeout = " + std::to_string(options.task_timeout.count()) + " ns; expected 0 (none) or more");
}

}  // namespace

std::shared_ptr<pool::Core> pool::make_core(const PoolOptions& options, const char* who) {
    check(options, who);
    entry::register_works();
    EngineOptions engine;
    if (options.initializer) engine.initializer = Function::pack(*options.initializer.descriptor(), options.initializer.bytes()).bytes;
    engine.max_tasks_per_child = options.max_tasks_per_child;
    engine.on_loss = options.on_loss;
    engine.max_retries = options.max_retries;
    engine.task_timeout = options.task_timeout;
    return std::make_shared<Core>(options.processes, options.backend, std::move(engine));
}

Pool::Pool(PoolOptions options) : core_(pool::make_core(options, "Pool")) {}
Pool::~Pool() { core_->shut_down(); }

void Pool::close() { core_->close(); }
void Pool::terminate() { core_->terminate(); }
void Pool::join() { core_->join(); }
int Pool::size() const { return core_->size(); }
std::vector<WorkerInfo> Pool::workers() const { return core_->workers(); }
PoolStats Pool::stats() const { return core_->stats(); }

}  // namespace rankpool
