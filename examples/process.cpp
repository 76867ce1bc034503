// Process, as in Python: a function in a process of its own, started, running beside the program, joined.
//
// Three workers say who they are, in whatever order they come to it; then the program says how each of them ended.
//
//     ./process
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

void work(int number, const std::string& greeting) {
    std::printf("%s %d | PID %d\n", greeting.c_str(), number, static_cast<int>(getpid()));
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [] {
        std::vector<rankpool::Process> workers;
        for (int number = 0; number < 3; ++number) workers.emplace_back(work, number, std::string("Worker"));
        for (rankpool::Process& worker : workers) worker.start();

        for (rankpool::Process& worker : workers) worker.join();

        bool well = true;
        for (const rankpool::Process& worker : workers) {
            std::printf("%s ended with code %d\n", worker.name().c_str(), *worker.exitcode());  // -N: by signal N
            well = well && worker.exitcode() == 0;
        }
        return well ? 0 : 1;
    });
}
