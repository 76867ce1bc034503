// Pi by the midpoint rule: the area under 4 / (1 + x*x) from 0 to 1, cut into n strips that `reduce` adds up.
//
//     pi [N]                  N strips; 10 million when none is given
//
//     ./pi                    alone: one rank that does it all
//     rankrun -n 4 ./pi       four ranks on this machine, over shared memory
//     mpirun -n 4 ./pi        the same over MPI
//
// All of them print the same, to the last digit. A sum of floating-point numbers depends on the order of its additions,
// so it is not enough that each rank adds up a share of its own: another number of ranks would make other shares. Here
// the strips lie in blocks that depend on n only. One rank adds up a block, and `reduce` brings the sums of all blocks
// together, element by element: of the numbers that it adds in one place, all but one are zero, and that is exact.
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numbers>
#include <numeric>
#include <optional>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

constexpr std::int64_t blocks = 1024;  // as many ranks can have work
constexpr std::int64_t most_strips = 1'000'000'000'000;

/// Where block `b` begins when `strips` are cut into blocks, whose lengths differ by at most one.
std::int64_t begin_of_block(std::int64_t b, std::int64_t strips) {
    return b * (strips / blocks) + b * (strips % blocks) / blocks;
}

double area_of_block(std::int64_t b, std::int64_t strips) {
    const double width = 1.0 / static_cast<double>(strips);
    double heights = 0;
    for (std::int64_t i = begin_of_block(b, strips), end = begin_of_block(b + 1, strips); i < end; ++i) {
        const double x = (static_cast<double>(i) + 0.5) * width;
        heights += 4.0 / (1.0 + x * x);
    }
    return heights * width;
}

std::optional<std::int64_t> parse_strips(const char* text) {
    std::int64_t strips = 0;
    const char* const end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, strips);
    if (error != std::errc() || stopped != end || strips < 1 || strips > most_strips) return std::nullopt;
    return strips;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        const auto strips = argc > 1 ? parse_strips(argv[1]) : 10'000'000;
        if (argc > 2 || !strips) {
            if (world.rank() == 0) std::fprintf(stderr, "usage: pi [N]    N: a number of strips, from 1 on\n");
            return 2;
        }

        // Every rank takes every size()-th block, and leaves the others at zero.
        std::vector<double> areas(static_cast<std::size_t>(blocks));
        for (std::int64_t b = world.rank(); b < blocks; b += world.size())
            areas[static_cast<std::size_t>(b)] = area_of_block(b, *strips);
        areas = world.reduce(areas, std::plus<>{});  // at rank 0: all blocks; elsewhere: empty

        if (world.rank() != 0) return 0;
        const double pi = std::accumulate(areas.begin(), areas.end(), 0.0);
        std::printf("pi = %.12f, error %.1e, %lld strips\n", pi, std::abs(pi - std::numbers::pi),
                    static_cast<long long>(*strips));
        return 0;
    });
}
