// The ways in which a program ends.
//
//     endings run void | return N | exit N | throw | throw-in-task | throw-own | twice
//     endings spmd return N0 N1 …     rank r returns Nr (0 when none is given)
//     endings spmd early N LIST       rank 0 returns N; the others say "works on" when it is about to, and return 0
//     endings spmd print N            every rank prints a line that it does not flush, and returns N
//     endings spmd throw R            rank R throws, the others wait for it
//     endings spmd twice
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "meeting.hpp"

namespace {

struct Unheard {};  // no std::exception

int fail_at_three(int x) {
    if (x == 3) throw std::out_of_range("three is too much");
    return x;
}

void print(const std::string& text) {
    // One write, whatever MPI made of the stream: MPICH leaves it unbuffered, and the ranks' words would mix.
    const std::string line = text + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
}

int run(int argc, char** argv) {
    const std::string way = argv[2];
    const int number = argc > 3 ? std::atoi(argv[3]) : 0;
    if (way == "void") return rankpool::run(argc, argv, [] { print("in main"); });
    const int code = rankpool::run(argc, argv, [&] {
        print("in main");
        rankpool::Pool pool(3);
        if (way == "throw") throw std::invalid_argument("nothing to do");
        if (way == "throw-own") throw Unheard{};
        if (way == "throw-in-task") pool.map(fail_at_three, std::vector{0, 1, 2, 3, 4});
        if (way == "exit") std::exit(number);
        return number;
    });
    if (way != "twice") return code;
    try {
        rankpool::run(argc, argv, [] { print("in the second main"); });
    } catch (const std::logic_error& error) {
        print(std::string("logic_error: ") + error.what());
    }
    return code;
}

int spmd(int argc, char** argv) {
    const std::string way = argv[2];
    const int code = rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        const int rank = world.rank();
        if (way == "return") return argc > 3 + rank ? std::atoi(argv[3 + rank]) : 0;
        if (way == "early") {
            if (rank == 0) {
                (void)last_of(0, argv[4]);
                return std::atoi(argv[3]);
            }
            while (access(argv[4], F_OK) != 0) sched_yield();
            print("works on");
        }
        if (way == "print") {
            std::printf("rank %d has spoken\n", rank);
            return std::atoi(argv[3]);
        }
        if (way == "throw") {
            world.barrier();
            if (rank == std::atoi(argv[3])) throw std::length_error("this rank has had enough");
            world.barrier();
            print("behind the barrier");
        }
        return 0;
    });
    if (way != "twice") return code;
    try {
        rankpool::spmd(argc, argv, [](rankpool::Communicator&) { print("in the second main"); });
    } catch (const std::logic_error& error) {
        print(std::string("logic_error: ") + error.what());
    }
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 64;
    return std::string(argv[1]) == "run" ? run(argc, argv) : spmd(argc, argv);
}
