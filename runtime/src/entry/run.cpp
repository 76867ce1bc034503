// rankpool::run and rankpool::spmd: from an ordinary main to a rank of a job. The order of things matters: the fork
// server is made while there is one thread and no MPI, then the transport is opened, then the launcher's variables go.
#include <rankpool/run.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "child/family.hpp"
#include "launch/launch.hpp"
#include "launch/mpi_module.hpp"
#include "launch/same_build.hpp"
#include "os/host_name.hpp"
#include "os/standard_streams.hpp"
#include "pool/drain.hpp"
#include "pool/lead.hpp"
#include "pool/living_queues.hpp"
#include "pool/worker_context.hpp"
#include "process/child_start.hpp"
#include "process/fork_server.hpp"
#include "entry/context.hpp"
#include "entry/works.hpp"
#include "shm/shm_transport.hpp"
#include "spmd/world.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::entry {
namespace {

// This process's part in a job of several ranks.
struct Part {
    pid_t pid = 0;
    int rank = -1;
    pool::Manager* manager = nullptr;
};
Part part;
pid_t main_runs_in = 0;
std::atomic<bool> entered{false};

void enter(const char* what) {
    if (entered.exchange(true))
        throw std::logic_error(std::string("rankpool::") + what + " was called a second time in this process; call it once, from main");
}

std::unique_ptr<comm::Transport> open_transport(launch::Launch& launch, mpi::Threads threads) {
    (void)pool::every_rank_leads();  // a wrong value is told before anybody waits for anybody
    if (launch.starter == launch::Starter::nobody) return std::make_unique<shm::ShmTransport>(shm::JobMemory::create(1), 0);
    if (launch.starter == launch::Starter::rankrun)
        return std::make_unique<shm::ShmTransport>(shm::JobMemory::attach(std::move(launch.membership->memory), launch.size), launch.rank);
    auto transport = launch::open_mpi_transport(launch, threads);
    launch::require_same_build(*transport);  // rankrun compares at its door
    return transport;
}

// Whether several threads may use communicators, each one of its own. MPI can do without its locks where they do not.
bool uses_threads() {
    const char* told = std::getenv("RANKPOOL_THREADS");
    if (told == nullptr || *told == '\0') return true;
    const std::string_view value(told);
    if (value == "one") return false;
    if (value == "several") return true;
    throw LaunchError("RANKPOOL_THREADS = \"" + std::string(value) + "\"; expected one (only the thread of main uses communicators) or several");
}

// Finds out what this process is; ends it when it cannot be part of its job. Afterwards it can make children.
launch::Launch begin() {
    register_works();
    if (const auto token = process::take_exec_token(true)) process::become(*token);
    launch::Launch launch;
    try {
        os::occupy_standard_streams();
        launch::detect(launch);
        process::ForkServer::start_at_run(launch.descriptors());
    } catch (const std::exception& error) {
        launch::give_up(launch, error.what());
    }
    return launch;
}

// rank 0 of a pool-style job: main runs here, the transport on a thread of its own.
class Lead {
  public:
    explicit Lead(launch::Launch& launch) : lead_(std::in_place, comm::Post::Of::job, [&launch] { return open_transport(launch, mpi::Threads::one); }) {
        part.manager = &lead_->manager();
        active_ = this;
        on_exit([](int status, void*) {
            if (active_ != nullptr && part.pid == getpid()) active_->end(status);  // std::exit inside main
        }, nullptr);
    }
    ~Lead() { active_ = nullptr; }

    void end(int exit_code) {
        active_ = nullptr;
        lead_->manager().end_ranks(exit_code);
        part = {};
        lead_.reset();  // the last messages are out, the transport is finished
    }

  private:
    static inline Lead* active_ = nullptr;
    std::optional<pool::Lead> lead_;
};

// With the end of main, that of the processes it started.
int call_main(const std::function<int()>& main) {
    int exit_code = 1;
    main_runs_in = getpid();
    try {
        exit_code = main();
    } catch (const CancelledError&) {
        process::flush_output();
        if (!pool::drained()) report_uncaught("main", std::current_exception());  // else the call has said it
    } catch (...) {
        process::flush_output();
        report_uncaught("main", std::current_exception());
    }
    pool::complete_executors();  // while there are ranks and a fork server
    child::end_children();
    return pool::drained() ? pool::exit_drained : exit_code;
}

}  // namespace

pool::Manager* manager_of_ranks() {
    const bool here = part.manager != nullptr && part.pid == getpid() && !pool::worker_context().worker;
    return here ? part.manager : nullptr;
}

bool in_run() { return main_runs_in != 0 && main_runs_in == getpid(); }

int own_rank() { return part.pid == getpid() ? part.rank : -1; }

void report_uncaught(const char* where, const std::exception_ptr& error) {
    std::fprintf(stderr, "rankpool: uncaught exception in %s: %s\n", where, wire::describe_for_people(error).c_str());
    std::fflush(stderr);
}

int run_main(int, char**, const std::function<int()>& main) {
    enter("run");
    launch::Launch launch = begin();
    int exit_code = 1;
    if (launch.size == 1 && launch.starter != launch::Starter::open_mpi && launch.starter != launch::Starter::mpich) {
        launch::clear_launcher_variables();
        if (launch.starter != launch::Starter::nobody) part.rank = launch.rank, part.pid = getpid();
        exit_code = call_main(main);
    } else if (launch.rank == 0) {
        std::optional<Lead> lead;
        part = {getpid(), launch.rank, nullptr};
        try {
            lead.emplace(launch);
        } catch (const std::exception& error) {
            launch::give_up(launch, error.what());
        }
        launch::clear_launcher_variables();
        exit_code = call_main(main);
        process::flush_output();  // before the others may end: a launcher ends the job at the first code that is not 0
        lead->end(exit_code);
    } else {
        try {
            std::shared_ptr<comm::Transport> transport = open_transport(launch, mpi::Threads::one);
            launch::clear_launcher_variables();
            part = {getpid(), launch.rank, nullptr};
            exit_code = pool::serve_pools(comm::Post::Of::job, std::move(transport));
        } catch (const std::exception& error) {
            launch::give_up(launch, error.what());
        }
    }
    process::flush_output();
    process::ForkServer::stop();
    return exit_code;
}

int spmd_main(int, char**, bool debug, const std::function<int(Communicator&)>& main) {
    enter("spmd");
    launch::Launch launch = begin();
    std::shared_ptr<comm::Transport> transport;
    bool checked = false;
    try {
        checked = comm::wants_checks(debug);
        transport = open_transport(launch, uses_threads() ? mpi::Threads::several : mpi::Threads::only);
        checked = comm::any_wants_checks(*transport, checked);
    } catch (const std::exception& error) {
        launch::give_up(launch, error.what());
    }
    launch::clear_launcher_variables();
    part = {getpid(), launch.starter == launch::Starter::nobody ? -1 : launch.rank, nullptr};
    int own_code = 1;
    try {
        Communicator world(transport, checked);
        own_code = main(world);
        pool::complete_executors();
        child::end_children();
        process::flush_output();  // before the others may end: a launcher ends the job at the first code that is not 0
        transport->begin_end();
        if (checked) comm::agree(*transport, {"the end of main"});
        own_code = transport->finish(own_code);
    } catch (...) {
        process::flush_output();
        const std::string where = "rank " + std::to_string(transport->rank()) + " (pid " + std::to_string(getpid()) + " on " + os::host_name() + ")";
        // Where another rank ended first, the launcher is about to end this one, and that rank has said why.
        if (comm::is_departure(std::current_exception())) sleep(2);
        report_uncaught(where.c_str(), std::current_exception());
        launch::let_output_through(launch);
        if (transport->size() > 1) transport->abort(1);
        child::end_children();
        own_code = 1;
    }
    process::flush_output();
    process::ForkServer::stop();
    return own_code;
}

}  // namespace rankpool::entry
