#include <rankpool/pool.hpp>

#include <stdexcept>
#include <string>

#include "entry/works.hpp"
#include "pool/core.hpp"
#include "pool/manager.hpp"
#include <rankpool/communicator.hpp>
#include <rankpool/cpus.hpp>

namespace rankpool {
namespace {

void check(const PoolOptions& options, const char* who) {
    const auto refuse = [who](const std::string& what) { throw std::invalid_argument(std::string(who) + ": " + what); };
    if (options.processes < 0)
        refuse("processes = " + std::to_string(options.processes) + "; expected 0 (all usable CPUs) or more");
    if (options.max_tasks_per_child < 0)
        refuse("max_tasks_per_child = " + std::to_string(options.max_tasks_per_child) + "; expected 0 (no limit) or more");
    if (options.max_retries < 0) refuse("max_retries = " + std::to_string(options.max_retries) + "; expected 0 or more");
    if (options.task_timeout.count() < 0)
        refuse("task_timeout = " + std::to_string(options.task_timeout.count()) + " ns; expected 0 (none) or more");
    if (options.backend < Backend::automatic || options.backend > Backend::serial)
        refuse("backend = " + std::to_string(static_cast<int>(options.backend)) + "; expected one of Backend's enumerators");
    if (options.on_loss < OnLoss::fail_item || options.on_loss > OnLoss::break_pool)
        refuse("on_loss = " + std::to_string(static_cast<int>(options.on_loss)) + "; expected one of OnLoss's enumerators");
    const bool isolated = options.backend != Backend::threads && options.backend != Backend::serial;
    if (!isolated && options.task_timeout.count() != 0)
        refuse("task_timeout = " + std::to_string(options.task_timeout.count()) +
               " ns cannot be kept on threads or in the calling thread: nobody can stop them; use Backend::processes");
    if (!isolated && options.max_tasks_per_child != 0)
        refuse("max_tasks_per_child = " + std::to_string(options.max_tasks_per_child) +
               " means nothing on threads or in the calling thread; use Backend::processes");
}

std::vector<std::byte> packed(const TaskFunction<void()>& initializer) {
    using Initializer = task::Nullary<TaskFunction<void()>>;
    wire::Buffer bytes;
    task::Codec<Initializer>::encode(bytes, {initializer}, false);
    return pool::Function::pack(task::Typed<Initializer, char>::descriptor, bytes).bytes;
}

pool::EngineOptions engine_options(const PoolOptions& options, const char* who) {
    check(options, who);
    entry::register_works();
    pool::EngineOptions engine;
    if (options.initializer) engine.initializer = packed(options.initializer);
    engine.max_tasks_per_child = options.max_tasks_per_child;
    engine.on_loss = options.on_loss;
    engine.max_retries = options.max_retries;
    engine.task_timeout = options.task_timeout;
    return engine;
}

std::shared_ptr<pool::Core> over_ranks(Communicator& communicator, const PoolOptions& options) {
    if (options.backend != Backend::automatic && options.backend != Backend::ranks)
        throw std::invalid_argument("Pool: a pool over a communicator lives on its ranks; give Backend::automatic or Backend::ranks");
    pool::EngineOptions engine = engine_options(options, "Pool");
    if (communicator.size() > 1 && !communicator.transport()->several_threads())
        throw std::logic_error("Pool: a pool over a communicator needs a thread of its own on rank 0, and MPI was initialised without support for several; "
                               "unset RANKPOOL_THREADS, or initialise MPI with MPI_THREAD_MULTIPLE");
    (void)process_cpu_count();  // what is wrong in the environment is told before anybody waits for this rank
    (void)pool::every_rank_leads();
    std::shared_ptr<comm::Transport> transport = communicator.dup().transport();
    if (communicator.rank() == 0) return std::make_shared<pool::Core>(options.processes, std::move(engine), std::move(transport));
    (void)pool::serve_pools(comm::Post::Of::communicator, std::move(transport));
    return std::make_shared<pool::Core>();
}

}  // namespace

std::shared_ptr<pool::Core> pool::make_core(const PoolOptions& options, const char* who) {
    return std::make_shared<Core>(options.processes, options.backend, engine_options(options, who), who);
}

Pool::Pool(PoolOptions options) : core_(pool::make_core(options, "Pool")) {}
Pool::Pool(Communicator& communicator, PoolOptions options) : core_(over_ranks(communicator, options)) {}
Pool::~Pool() { core_->shut_down(); }

void Pool::close() { core_->close(); }
void Pool::terminate() { core_->terminate(); }
void Pool::join() { core_->join(); }
int Pool::size() const { return core_->size(); }
std::vector<WorkerInfo> Pool::workers() const { return core_->workers(); }
PoolStats Pool::stats() const { return core_->stats(); }

}  // namespace rankpool
