// Pool style: "main: n workers on ranks r r r" from main, for a pool of the size given (default 0). With a second argument
// "main: n leaders" too, how many processes made the workers, and "main: CPUs list list list" of the workers.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include <rankpool/rankpool.hpp>

namespace {

// What follows `key` in the process's /proc/pid/status.
std::string status_of(pid_t process, const std::string& key) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string word; status >> word;)
        if (word == key && status >> word) return word;
    return "?";
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        rankpool::Pool pool(argc > 1 ? std::atoi(argv[1]) : 0);
        std::string ranks, cpus;
        std::set<std::string> leaders;
        for (const auto& worker : pool.workers()) {
            ranks += " " + std::to_string(worker.rank);
            cpus += " " + status_of(worker.pid, "Cpus_allowed_list:");
            leaders.insert(status_of(worker.pid, "PPid:"));  // the leader's fork server
        }
        std::printf("main: %d workers on ranks%s\n", pool.size(), ranks.c_str());
        if (argc > 2) std::printf("main: %zu leaders\nmain: CPUs%s\n", leaders.size(), cpus.c_str());
        std::fflush(stdout);
    });
}
