// The two ways to start: pool style and SPMD style. One binary, every launch.
//
//     int main(int argc, char** argv) {                       // pool style: ./app, rankrun -n 8 ./app, mpirun -n 64 ./app
//         return rankpool::run(argc, argv, [] {
//             rankpool::Pool pool;
//             auto squares = pool.map([](int x) { return x * x; }, std::vector{1, 2, 3});
//         });
//     }
//
//     int main(int argc, char** argv) {                       // SPMD style
//         return rankpool::spmd(argc, argv, [](rankpool::Communicator& world) { world.barrier(); });
//     }
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include <rankpool/communicator.hpp>

namespace rankpool {

namespace entry {

int run_main(int argc, char** argv, const std::function<int()>& main);
/// `debug`: the program was built for debugging, and its collective operations are checked unless RANKPOOL_CHECK says otherwise.
int spmd_main(int argc, char** argv, bool debug, const std::function<int(Communicator&)>& main);

/// What `main` returns, as an exit code: void is 0.
template <class Main, class... Args>
int exit_code_of(Main& main, Args&... arguments) {
    using Returned = std::invoke_result_t<Main&, Args&...>;
    static_assert(std::is_void_v<Returned> || std::is_convertible_v<Returned, int>, "rankpool: main must return void or int");
    if constexpr (std::is_void_v<Returned>) {
        std::invoke(main, arguments...);
        return 0;
    } else {
        return static_cast<int>(std::invoke(main, arguments...));
    }
}

}  // namespace entry

/// Pool style. rank 0 (or the standalone process) runs `main`; every other rank serves its pools until it returns.
/// `main` is called as main() and returns void or int. Returns the process's exit code, the same on every rank.
/// An exception that leaves `main` is reported on stderr with its type, text and origin; all ranks end, exit code 1.
/// std::exit(n) inside `main` ends all ranks with n. Call it once. Workers never enter the program's main: this is what
/// Python's `if __name__ == "__main__":` guards. Collective.
template <class Main>
int run(int argc, char** argv, Main&& main) {
    return entry::run_main(argc, argv, [&] { return entry::exit_code_of(main); });
}

/// SPMD style. Every rank runs main(Communicator& world), which returns void or int. The job's code is the first
/// non-zero one by rank, after all have returned. A rank that throws ends the job: its error is printed, the other ranks
/// are ended, exit code 1. Call it once. Collective.
///
/// Several threads may use communicators, each one of its own (dup()). Under MPI that costs its locks: a program in which
/// only the thread of `main` does may be started with RANKPOOL_THREADS=one (MPI_THREAD_SINGLE). MPI_Finalize is not called under
/// MPICH before 4.2 on several machines, where it may wait for ever: the ranks leave by the launcher's own protocol.
template <class Main>
int spmd(int argc, char** argv, Main&& main) {
#ifdef NDEBUG
    constexpr bool debug = false;
#else
    constexpr bool debug = true;
#endif
    return entry::spmd_main(argc, argv, debug, [&](Communicator& world) { return entry::exit_code_of(main, world); });
}

}  // namespace rankpool
