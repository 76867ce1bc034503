// A pool whose workers all run a task that never ends. The last task to begin says "all run".
//
//     long_tasks LIST WORKERS           LIST: a file, see meeting.hpp
//     long_tasks LIST WORKERS family    each task has a child too, in a session of its own
#include <unistd.h>

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

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 64;
    return rankpool::run(argc, argv, [&] {
        const int workers = std::atoi(argv[2]);
        rankpool::Pool pool(workers);
        // More items than workers: a rank may be given one that waits behind another.
        pool.map(run_for_ever, std::vector<Job>(static_cast<std::size_t>(workers) * 8, {argv[1], workers, argc > 3}),
                 {.chunksize = 1});
    });
}
