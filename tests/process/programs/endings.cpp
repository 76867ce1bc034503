// Programs that end while processes of theirs run.
//
//     endings STYLE WAY [CHANNEL]      STYLE: run, spmd or plain (without either); CHANNEL: a named pipe
//
//     return | exit | throw CHANNEL    ends in that way, with 3 (throw: 1), while a child waits that then says "child done"
//     nested CHANNEL                   the same with a child of the child, which says "grandchild done"
//     daemon CHANNEL                   returns while a daemon runs that says "daemon terminated" at a SIGTERM
//     nested-daemon CHANNEL            the same in a child
//     endless CHANNEL                  says "all run" when a daemon, another child and their children run, which never end
//     output                           "in main " and "in child ", neither flushed
//     handlers                         handlers and a static object in main, handlers in a child that returns and one that exits
//     late CHANNEL                     a static destructor starts a child, which says "child done"
//     task CHANNEL                     a task of a pool leaves a child running that never ends; says "pool done"
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include <rankpool/rankpool.hpp>

#include "process/channel.hpp"

namespace {

using rankpool::Process;

void say(const char* text) {
    std::fputs(text, stdout);
    std::fflush(stdout);
}

// Starts a process and keeps it, as a static object would that is never destroyed.
template <class... Args>
void start_and_keep(bool daemon, Args... arguments) {
    static std::vector<Process>* kept = new std::vector<Process>;
    kept->emplace_back(std::move(arguments)...);
    kept->back().daemon(daemon).start();
}

// Nothing but a join can keep a program from ending before this has spoken.
void speak_late(const std::string& path, const std::string& text) {
    channel::take(path);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    say(text.c_str());
}

void wait_for_sigterm(const std::string& path) {
    std::signal(SIGTERM, [](int) {
        constexpr char text[] = "daemon terminated\n";
        (void)!write(STDOUT_FILENO, text, sizeof text - 1);
        _exit(0);
    });
    channel::post(path, "ready");
    for (;;) pause();
}

void never_end(const std::string& path, int depth) {
    if (depth > 0) {
        start_and_keep(true, never_end, path, depth - 1);
        start_and_keep(false, never_end, path, depth - 1);
    }
    channel::post(path, "runs");
    for (;;) pause();
}

void register_handler_of_child() { std::atexit([] { std::fputs("child's handler\n", stdout); }); }

struct StartsLate {
    std::string path;
    ~StartsLate() {
        if (path.empty()) return;
        start_and_keep(false, speak_late, path, std::string("child done\n"));
        channel::post(path, "go");
    }
};
StartsLate starts_late;

struct Speaks {
    bool wanted = false;
    ~Speaks() {
        if (wanted) std::fputs("main's static object\n", stdout);
    }
};
Speaks speaks;

int end(const std::string& way, const std::string& path) {
    if (way == "return" || way == "exit" || way == "throw") {
        start_and_keep(false, speak_late, path, std::string("child done\n"));
        say("main done\n");
        channel::post(path, "go");
        if (way == "exit") std::exit(3);
        if (way == "throw") throw std::runtime_error("enough");
        return 3;
    }
    if (way == "nested") {
        start_and_keep(false, [](const std::string& to) {
            start_and_keep(false, speak_late, to, std::string("grandchild done\n"));
            channel::post(to, "go");
        }, path);
    } else if (way == "daemon") {
        start_and_keep(true, wait_for_sigterm, path);
        channel::take(path);
    } else if (way == "nested-daemon") {
        start_and_keep(false, [](const std::string& to) {
            start_and_keep(true, wait_for_sigterm, to);
            channel::take(to);
        }, path);
    } else if (way == "endless") {
        start_and_keep(true, never_end, path, 1);
        start_and_keep(false, never_end, path, 1);
        for (int i = 0; i < 6; ++i) channel::take(path);
        say("all run\n");
        for (;;) pause();
    } else if (way == "output") {
        std::fputs("in main ", stdout);
        Process child([] { std::fputs("in child ", stdout); });
        child.start();
        child.join();
    } else if (way == "handlers") {
        speaks.wanted = true;
        std::atexit([] { std::fputs("main's handler\n", stdout); });
        Process returns(register_handler_of_child), exits([] {
            register_handler_of_child();
            std::exit(4);
        });
        for (Process* process : {&returns, &exits}) process->start();
        for (Process* process : {&returns, &exits}) process->join();
        return exits.exitcode() == 4 ? 0 : 1;
    } else if (way == "late") {
        starts_late.path = path;
    } else if (way == "task") {
        rankpool::Pool pool(1);
        pool.apply([](const std::string& to) { start_and_keep(false, never_end, to, 0); }, path);
        channel::take(path);
        pool.close();
        pool.join();
        say("pool done\n");
    } else {
        return 64;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 64;
    // Before run(), as a program without it has done everything before: children must see none of these again.
    const std::string style = argv[1], way = argv[2], path = argc > 3 ? argv[3] : "";
    if (style == "run") return rankpool::run(argc, argv, [&] { return end(way, path); });
    if (style == "spmd") return rankpool::spmd(argc, argv, [&](rankpool::Communicator&) { return end(way, path); });
    return end(way, path);
}
