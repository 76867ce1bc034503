// A token goes round the ring of all ranks: `recv` from the previous one, `send` to the next one. The token is a plain
// struct and travels as it is: no datatype is built, no buffer measured.
//
//     ring [LAPS]               100 laps when none is given
//
//     ./ring                    alone: a ring of one rank, which hands the token to itself
//     rankrun -n 4 ./ring       four ranks on this machine, over shared memory
//     mpirun -n 4 ./ring        the same over MPI
//
// The token counts its hops and adds up the ranks on its path, so that rank 0 can tell whether it really came by all of
// them. Where there are more ranks than CPUs, a hop costs what it takes to wake a process.
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>

#include <rankpool/rankpool.hpp>

namespace {

struct Token {
    std::int64_t hops = 0;
    std::int64_t sum = 0;  // of the ranks it came by
};

Token stamped(Token token, int rank) { return {token.hops + 1, token.sum + rank}; }

std::optional<int> parse_laps(const char* text) {
    int laps = 0;
    const char* const end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, laps);
    if (error != std::errc() || stopped != end || laps < 1) return std::nullopt;
    return laps;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        const int rank = world.rank(), size = world.size();
        const auto laps = argc > 1 ? parse_laps(argv[1]) : 100;
        if (argc > 2 || !laps) {
            if (rank == 0) std::fprintf(stderr, "usage: ring [LAPS]    LAPS: a number, from 1 on\n");
            return 2;
        }
        const int next = (rank + 1) % size, previous = (rank + size - 1) % size;

        Token token;
        world.barrier();  // so that the time is that of the hops, not of ranks that started late
        const auto start = std::chrono::steady_clock::now();
        for (int lap = 0; lap < *laps; ++lap) {
            if (rank == 0) {
                // Off and back in one call: a `send` may wait until it is received, and in a ring of one nobody would.
                token = world.sendrecv(stamped(token, rank), next, previous);
            } else {
                token = world.recv<Token>(previous);
                world.send(stamped(token, rank), next);
            }
        }
        const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;

        if (rank != 0) return 0;
        const std::int64_t hops = std::int64_t{*laps} * size, sum = hops * (size - 1) / 2;
        const bool right = token.hops == hops && token.sum == sum;
        std::printf("ring: %d rank(s), %lld hops, sum of the path %lld%s\n", size, static_cast<long long>(token.hops),
                    static_cast<long long>(token.sum), right ? "" : ", WRONG");
        std::printf("average hop: %.2f us\n", time.count() / static_cast<double>(hops));
        return right ? 0 : 1;
    });
}
