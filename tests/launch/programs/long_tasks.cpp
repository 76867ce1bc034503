// A pool whose workers all run a task that never ends. The last task to begin says "all run".
//
//     long_tasks LIST WORKERS           LIST: a file, see meeting.hpp
//     long_tasks LIST WORKERS family    each task has a child too, in a session of its own
//     long_tasks LIST WORKERS spmd      with spmd() and a pool over the ranks
//     long_tasks LIST RANKS ranks       with spmd(): no pool, ranks that wait for a message that nobody sends
//     long_tasks LIST WORKERS own       without run(), with a handler of SIGINT of its own, which says "heard SIGINT": the
//                                       tasks end after it, and it says how many results there are, and how many
//                                       workers were lost; exit code 5
#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "meeting.hpp"

namespace {

struct Job {
    std::string list;
    int workers;
    bool family;
};

int run_for_ever(const Job& job) {
    if (job.family && std::system("setsid sleep 1000 &") != 0) std::abort();
    if (last_of(job.workers, job.list.c_str())) {
        std::printf("all run\n");
        std::fflush(stdout);
    }
    for (;;) pause();
}

void wait_for_ever(rankpool::Communicator& world, const Job& job) {
    if (last_of(job.workers, job.list.c_str())) {
        std::printf("all run\n");
        std::fflush(stdout);
    }
    world.recv<int>();
}

// ---- a handler of the program's own ----

sem_t interrupted;

std::string end_of(const Job& job) { return job.list + ".end"; }

int run_until_told(const Job& job) {
    if (last_of(job.workers, job.list.c_str())) {
        std::printf("all run\n");
        std::fflush(stdout);
    }
    while (access(end_of(job).c_str(), F_OK) != 0) sched_yield();
    return 1;
}

int handle_it(const Job& job) {
    sem_init(&interrupted, 0, 0);
    std::signal(SIGINT, [](int) {
        if (write(STDOUT_FILENO, "heard SIGINT\n", 13) == 13) sem_post(&interrupted);
    });
    rankpool::Pool pool(job.workers);
    auto results = pool.map_async(run_until_told, std::vector<Job>(static_cast<std::size_t>(job.workers), job), {.chunksize = 1});
    while (sem_wait(&interrupted) != 0) {
    }
    for (const auto& worker : pool.workers()) kill(worker.pid, SIGINT);  // as if they were in the terminal's group
    (void)last_of(0, end_of(job).c_str());
    const std::size_t count = results.get().size();
    std::uint64_t losses = 0;
    for (const auto& worker : pool.stats().workers) losses += worker.losses;
    std::printf("%zu results, %d lost\n", count, static_cast<int>(losses));
    return 5;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 64;
    const std::string way = argc > 3 ? argv[3] : "";
    const int workers = std::atoi(argv[2]);
    const Job job{argv[1], workers, way == "family"};
    if (way == "own") return handle_it(job);
    const auto keep_busy = [&](rankpool::Pool& pool) {
        // More items than workers: a rank may be given one that waits behind another.
        pool.map(run_for_ever, std::vector<Job>(static_cast<std::size_t>(workers) * 8, job), {.chunksize = 1});
    };
    if (way == "ranks")
        return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) { wait_for_ever(world, job); });
    if (way == "spmd")
        return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
            rankpool::Pool pool(world, {.processes = workers});
            if (world.rank() == 0) keep_busy(pool);
        });
    return rankpool::run(argc, argv, [&] {
        rankpool::Pool pool(workers);
        keep_busy(pool);
    });
}
