// The ways in which a worker may end that nobody asked to.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdlib>
#include <ostream>

namespace faults {

enum class Death { sigkill, sigsegv, abort, exit_0, std_exit_3, stack_overflow };
inline constexpr Death all_deaths[] = {Death::sigkill, Death::sigsegv, Death::abort, Death::exit_0, Death::std_exit_3, Death::stack_overflow};

inline std::ostream& operator<<(std::ostream& out, Death death) {
    constexpr const char* names[] = {"SIGKILL", "SIGSEGV", "abort", "_exit(0)", "std::exit(3)", "stack overflow"};
    return out << names[static_cast<int>(death)];
}

/// What the pool should see of it: a signal, or an exit code.
constexpr int signal_of(Death death) {
    switch (death) {
        case Death::sigkill: return SIGKILL;
        case Death::sigsegv:
        case Death::stack_overflow: return SIGSEGV;
        case Death::abort: return SIGABRT;
        default: return 0;
    }
}
constexpr int exit_code_of(Death death) { return death == Death::std_exit_3 ? 3 : 0; }

/// No core files, and no reports of a sanitizer, of deaths that are meant.
inline void expect_death() {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (const int signal : {SIGSEGV, SIGABRT}) std::signal(signal, SIG_DFL);
}

inline int overflow_stack(int depth) {
    volatile char block[4096];
    block[0] = static_cast<char>(depth);
    return depth == INT_MAX ? 0 : overflow_stack(depth + 1) + block[0];
}

[[noreturn]] inline void die(Death death) {
    expect_death();
    switch (death) {
        case Death::sigkill: raise(SIGKILL); break;
        case Death::sigsegv: raise(SIGSEGV); break;
        case Death::abort: std::abort();
        case Death::exit_0: _exit(0);
        case Death::std_exit_3: std::exit(3);
        case Death::stack_overflow: overflow_stack(0); break;
    }
    std::abort();
}

}  // namespace faults
