// Our place in the program's start: between its static initialisation and its main.
//
// A program with threads cannot be forked, so its workers are made by executing it again. The new process must become a
// worker instead of running main; run() would see to that, but a program may never call run(). So the library stands in
// for the C library's entry: _start calls __libc_start_main, which resolves to ours (we come before the C library in the
// order of symbols), which calls the real one with a main of ours in front of the program's.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "process/fork_server.hpp"
#include "entry/works.hpp"

namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

Main program_main = nullptr;

int main_or_child(int argc, char** argv, char** environment) {
    rankpool::process::set_program_start_hooked();
    if (const auto token = rankpool::process::take_exec_token(false)) {
        rankpool::entry::register_works();
        rankpool::process::become(*token);
    }
    return program_main(argc, argv, environment);
}

}  // namespace

extern "C" int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(),
                                 void* stack_end) {
    const auto real = reinterpret_cast<StartMain>(dlsym(RTLD_NEXT, "__libc_start_main"));
    if (real == nullptr) {
        std::fputs("rankpool: the C library's start routine cannot be found\n", stderr);
        std::abort();
    }
    program_main = main;
    return real(main_or_child, argc, argv, init, fini, rtld_fini, stack_end);
}
