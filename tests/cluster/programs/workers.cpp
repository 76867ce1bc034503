// The workers of a pool over several machines.
//
//     workers hosts N             for N workers, "HOST: n workers", sorted; every item was told the host that it ran on
//     workers loss N DIRECTORY    a worker that is not on the main program's host kills itself in an item. Prints
//                                 "lost 1 of n, on another host" and what the error says of its host
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

std::string own_host() {
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0) std::abort();
    return name;
}

void print_hosts(int workers) {
    rankpool::Pool pool(workers);
    std::map<std::string, int> hosts;
    for (const auto& worker : pool.workers()) ++hosts[worker.host];
    for (const auto& [host, count] : hosts) std::printf("%s: %d workers\n", host.c_str(), count);
    const std::vector<int> items(static_cast<std::size_t>(workers) * 4);
    for (const bool right : pool.map([](int) { return rankpool::current_worker()->host == own_host(); }, items))
        if (!right) std::printf("an item was told another host than its own\n");
}

struct Visit {
    std::string main_host, mark;
};

// The items on the main program's host wait until another host has had one.
int visit(const Visit& visit) {
    if (own_host() != visit.main_host && open(visit.mark.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) >= 0)
        std::raise(SIGKILL);
    while (access(visit.mark.c_str(), F_OK) != 0) std::this_thread::yield();
    return 1;
}

void lose_one(int workers, const std::string& directory) {
    rankpool::Pool pool(workers);
    const std::vector<Visit> items(static_cast<std::size_t>(workers) * 4, {own_host(), directory + "/mark"});
    std::size_t lost = 0;
    std::string host;
    for (const auto& outcome : pool.map_outcomes(visit, items, {.chunksize = 1})) {
        if (outcome.has_value()) continue;
        ++lost;
        try {
            std::rethrow_exception(outcome.error());
        } catch (const rankpool::WorkerLost& error) {
            host = error.worker().host;
        }
    }
    std::printf("lost %zu of %zu, on %s host\n", lost, items.size(), host == own_host() ? "this" : "another");
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const std::string what = argc > 2 ? argv[1] : "";
        if (what == "hosts") return print_hosts(std::atoi(argv[2]));
        if (what == "loss" && argc > 3) return lose_one(std::atoi(argv[2]), argv[3]);
        std::exit(64);
    });
}
