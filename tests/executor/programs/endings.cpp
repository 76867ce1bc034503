// A program that ends while an executor has work: argv[1] says how. Each way must print "task 0" to "task 5", whatever the
// order, and exit as it says. No task goes on before main has come to its end.
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
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <rankpool/rankpool.hpp>

namespace {

using rankpool::Future;
using rankpool::ProcessPoolExecutor;

// What tasks wait at: a pipe of this process, until nobody can write to it any more.
class Gate {
  public:
    Gate() {
        if (pipe2(ends_, O_CLOEXEC) != 0) std::abort();
    }
    std::string path() const { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(ends_[0]); }
    void open() const { close(ends_[1]); }
    static void pass(const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        char nothing;
        while (read(fd, &nothing, 1) == -1 && errno == EINTR) {
        }
        close(fd);
    }

  private:
    int ends_[2];
};

// Made after the executor, whose processes must not hold it.
const Gate& gate() {
    static const Gate made;
    return made;
}

int task(const std::string& gate_path, int x) {
    Gate::pass(gate_path);
    const std::string line = "task " + std::to_string(x) + "\n";
    return write(STDOUT_FILENO, line.data(), line.size()) > 0 ? x : -1;
}

ProcessPoolExecutor* submitted(ProcessPoolExecutor* executor, int tasks = 6) {
    for (int i = 0; i < tasks; ++i) executor->submit(task, gate().path(), i);
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
        gate().open();
        std::exit(3);
    } else if (how == "exit_shutdown") {
        ProcessPoolExecutor executor(2);
        submitted(&executor)->shutdown(false);
        gate().open();
        std::exit(3);
    } else if (how == "static") {
        static ProcessPoolExecutor executor(2);
        submitted(&executor);
    } else if (how == "throw") {
        ProcessPoolExecutor executor(2);
        submitted(&executor);
        gate().open();
        throw std::runtime_error("main gives up");
    } else if (how == "at_exit") {
        std::atexit([] {
            try {
                leaked->submit(task, gate().path(), 9);
            } catch (const rankpool::ExecutorShutdown&) {
                std::puts("too late");
            }
        });
        leaked = submitted(new ProcessPoolExecutor(2));
    } else if (how == "callback") {
        leaked = submitted(new ProcessPoolExecutor(2), 5);
        leaked->submit([] {}).add_done_callback([](Future<void>) {
            leaked->submit(task, gate().path(), 5).add_done_callback([](Future<int>) { std::exit(4); });
        });
        gate().open();
        for (;;) pause();
    } else {
        return 2;
    }
    gate().open();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string how = argc > 1 ? argv[1] : "";
    if (how == "without_run") return end(how);
    return rankpool::run(argc, argv, [&] { return end(how); });
}
