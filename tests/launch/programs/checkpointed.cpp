// A map with a checkpoint, which stops at its first items that are held. Prints "held" when four of them run, and at
// the end "sum" with the sum of all results.
//
//     checkpointed DIRECTORY ITEMS FREE [HOW]     items from FREE on are held; the journal, and a note of each item
//     that is
//                                                 started, lie in DIRECTORY
//
// Held items wait for the file "go". The first of them makes it once it is told to stop. HOW: "hang": they wait for
// ever. "early": each returns once it is told. "catch": main catches the call's exception and returns 3. "end": the
// call asks to be over an hour before the end of the Slurm job. "fork": meanwhile a copy of the process gets SIGTERM.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "meeting.hpp"

namespace {

struct Item {
    int number = 0, free = 0;
    char directory[100] = {};

    std::string path(const char* name) const { return std::string(directory) + "/" + name; }
};

std::string how;  // set before run(): workers have it too

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

int run_item(Item item) {
    const std::string line = std::to_string(item.number) + "\n";
    const int log = open(item.path("started").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || write(log, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
    close(log);
    if (item.number < item.free || exists(item.path("go"))) return item.number;
    if (last_of(4, item.path("held").c_str())) {
        std::printf("held\n");
        std::fflush(stdout);
    }
    const bool asks = how == "early" || (item.number == item.free && how != "hang");
    while (!exists(item.path("go")) || how == "hang") {
        if (asks && rankpool::stop_requested()) {
            if (how != "early") last_of(0, item.path("go").c_str());
            return -1000;  // which must not count
        }
        poll(nullptr, 0, 1);
    }
    return item.number;
}

int signal_that_ends_a_copy() {
    const pid_t copy = fork();
    if (copy < 0) std::abort();
    if (copy == 0)
        for (;;) pause();
    int status = 0;
    if (kill(copy, SIGTERM) != 0 || waitpid(copy, &status, 0) != copy || !WIFSIGNALED(status)) std::abort();
    return WTERMSIG(status);
}

std::vector<int> run_beside_a_copy(rankpool::Pool& pool, const std::vector<Item>& items, const rankpool::MapOptions& options) {
    auto pending = pool.map_async(run_item, items, options);
    std::printf("copy ended by SIG%s\n", sigabbrev_np(signal_that_ends_a_copy()));
    last_of(0, items.front().path("go").c_str());
    return pending.get();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 64;
    if (argc > 4) how = argv[4];
    return rankpool::run(argc, argv, [&] {
        std::vector<Item> items(static_cast<std::size_t>(std::atoi(argv[2])));
        for (std::size_t i = 0; i < items.size(); ++i) {
            items[i].number = static_cast<int>(i);
            items[i].free = std::atoi(argv[3]);
            std::strncpy(items[i].directory, argv[1], sizeof items[i].directory - 1);
        }
        rankpool::Pool pool(4);
        rankpool::MapOptions options{.chunksize = 1, .checkpoint = std::string(argv[1]) + "/journal"};
        if (how == "end") options.stop_before_end = std::chrono::hours(1);
        try {
            const auto results = how == "fork" ? run_beside_a_copy(pool, items, options) : pool.map(run_item, items, options);
            std::printf("sum %d\n", std::accumulate(results.begin(), results.end(), 0));
        } catch (const rankpool::Error& error) {
            if (how != "catch") throw;
            std::printf("caught %s\n", error.what());
            return 3;
        }
        return 0;
    });
}
