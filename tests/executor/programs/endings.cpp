// A program that ends while an executor has work: argv[1] says how. Each way must print "task 0" to "task 5", whatever the
// order, and exit as it says.
//
//     leaked         an executor that nobody destroys                  0
//     shutdown       one that was shut down without waiting            0
//     exit           std::exit(3) inside main                          3
//     exit_shutdown  the same, after shutdown without waiting          3
//     static         one of static duration                            0
//     throw          an exception leaves main                          1
//     at_exit        a handler of atexit submits: "too late" is printed 0
//     callback       the last task is submitted by a callback, and its callback calls std::exit(4)   4
//     without_run    an executor in a program that never calls run()   0
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <rankpool/rankpool.hpp>

namespace {

using rankpool::Future;
using rankpool::ProcessPoolExecutor;

int task(int x) {
    usleep(20'000);  // longer than the rest of the program takes
    const std::string line = "task " + std::to_string(x) + "\n";
    return write(STDOUT_FILENO, line.data(), line.size()) > 0 ? x : -1;
}

ProcessPoolExecutor* submitted(ProcessPoolExecutor* executor, int tasks = 6) {
    for (int i = 0; i < tasks; ++i) executor->submit(task, i);
    return executor;
}

ProcessPoolExecutor* leaked = nullptr;

int end(const std::string& how) {
    if (how == "leaked" || how == "without_run") {
        leaked = submitted(new ProcessPoolExecutor(2));
    } else if (how == "shutdown") {
        leaked = submitted(new ProcessPoolExecutor(2));
        leaked->shutdown(false);
    } else if (how == "exit") {
        ProcessPoolExecutor executor(2);
        submitted(&executor);
        std::exit(3);
    } else if (how == "exit_shutdown") {
        ProcessPoolExecutor executor(2);
        submitted(&executor)->shutdown(false);
        std::exit(3);
    } else if (how == "static") {
        static ProcessPoolExecutor executor(2);
        submitted(&executor);
    } else if (how == "throw") {
        ProcessPoolExecutor executor(2);
        submitted(&executor);
        throw std::runtime_error("main gives up");
    } else if (how == "at_exit") {
        std::atexit([] {
            try {
                leaked->submit(task, 9);
            } catch (const rankpool::ExecutorShutdown&) {
                std::puts("too late");
            }
        });
        leaked = submitted(new ProcessPoolExecutor(2));
    } else if (how == "callback") {
        leaked = submitted(new ProcessPoolExecutor(2), 5);
        leaked->submit([] {}).add_done_callback([](Future<void>) {
            leaked->submit(task, 5).add_done_callback([](Future<int>) { std::exit(4); });
        });
        for (;;) pause();
    } else {
        return 2;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string how = argc > 1 ? argv[1] : "";
    if (how == "without_run") return end(how);
    return rankpool::run(argc, argv, [&] { return end(how); });
}
