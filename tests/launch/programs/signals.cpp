// No rankpool in it: ranks that wait for signals and say "rank R heard SIGNAME".
//
//     signals LIST
//         each rank has a child in its process group, "child of rank R", that waits too; the last of all to be ready
//         says "all wait"; all end with 0 at a signal
//     signals LIST deaf BELL
//         a rank rings the bell at a signal and goes on waiting
//     signals LIST last-fails
//         the last to be ready says "rank R fails" and ends with 3; the others end with 4
//     signals LIST last-fails deaf
//         ... but the others go on waiting
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "meeting.hpp"

namespace {

void say(const std::string& text) {
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 64;
    const char* list = argv[1];
    const std::string way = argc > 2 ? argv[2] : "", manner = argc > 3 ? argv[3] : "";
    const bool family = way.empty(), last_fails = way == "last-fails";
    const bool deaf = way == "deaf" || manner == "deaf";
    sigset_t awaited;
    sigemptyset(&awaited);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&awaited, signal);
    sigprocmask(SIG_BLOCK, &awaited, nullptr);

    const pid_t child = family ? fork() : -1;
    const std::string who = (child == 0 ? "child of rank " : "rank ") + std::to_string(number_from("RANK"));
    if (last_of(number_from("WORLD_SIZE") * (family ? 2 : 1), list)) {
        say(last_fails ? who + " fails" : "all wait");
        if (last_fails) return 3;
    }
    do {
        int signal = 0;
        sigwait(&awaited, &signal);
        say(who + " heard SIG" + sigabbrev_np(signal));
        if (way == "deaf") ring(argv[3]);
    } while (deaf);
    if (child > 0) waitpid(child, nullptr, 0);
    _exit(last_fails ? 4 : 0);  // at once: a sanitizer's last look stops for ever where stop signals come in between
}
