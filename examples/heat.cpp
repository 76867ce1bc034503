// Heat spreads over a plate: in each step every cell becomes the average of its four neighbours (Jacobi's method), and
// the plate's edges stay at 0 degrees.
//
//     heat [--serial] [ROWS COLUMNS [STEPS]]    200 x 300 cells and 1000 steps by default
//
//     ./heat                    alone: one rank that has all rows
//     rankrun -n 4 ./heat       four ranks on this machine, over shared memory
//     mpirun -n 4 ./heat        the same over MPI
//     ./heat --serial           without messages
//
// Each rank has a band of rows. In a step it needs the row above its band and the one below, which its neighbours have:
// they are under way (`isend`, `irecv`) while it works on the rows that need neither. At the end rank 0 gathers the
// plate and compares it with one that it computes alone. They are equal to the last bit, as a cell is computed in the
// same way wherever that is done. Ranks that no row is left for have nothing to do until then.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using Row = std::vector<double>;  // with a cell of the plate's edge at either end

struct Problem {
    std::size_t rows = 200, columns = 300, steps = 1000;
    bool serial = false;
};

/// `count` rows of the plate from row `first` on as they are at the start, cold with a hot spot in the middle, between
/// two more rows: those that border on them.
std::vector<Row> make_band(const Problem& problem, std::size_t first, std::size_t count) {
    std::vector<Row> band(count + 2, Row(problem.columns + 2));
    const auto central = [](std::size_t i, std::size_t length) { return i >= length / 3 && i < length - length / 3; };
    for (std::size_t r = 0; r < count; ++r)
        for (std::size_t c = 0; c < problem.columns; ++c)
            if (central(first + r, problem.rows) && central(c, problem.columns)) band[r + 1][c + 1] = 100;
    return band;
}

/// One step for the rows from `begin` on, before `end`.
void relax(const std::vector<Row>& from, std::vector<Row>& to, std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r)
        for (std::size_t c = 1; c + 1 < from[r].size(); ++c)
            to[r][c] = 0.25 * (from[r - 1][c] + from[r + 1][c] + from[r][c - 1] + from[r][c + 1]);
}

std::vector<Row> solve_alone(const Problem& problem) {
    std::vector<Row> band = make_band(problem, 0, problem.rows), next = band;
    for (std::size_t step = 0; step < problem.steps; ++step) {
        relax(band, next, 1, problem.rows + 1);
        std::swap(band, next);
    }
    return {band.begin() + 1, band.end() - 1};
}

/// The whole plate at rank 0; nothing elsewhere.
std::vector<Row> solve_together(const Problem& problem, rankpool::Communicator& world) {
    const auto ranks = static_cast<std::size_t>(world.size()), rank = static_cast<std::size_t>(world.rank());
    const std::size_t each = problem.rows / ranks, longer = problem.rows % ranks;  // bands that have a row more
    const std::size_t count = each + (rank < longer ? 1 : 0), first = rank * each + std::min(rank, longer);
    std::vector<Row> band = make_band(problem, first, count), next = band;

    struct Neighbour {
        int rank;
        std::size_t mine, theirs;  // the row that it gets from us, and the place of the one we get
    };
    std::vector<Neighbour> neighbours;
    if (count > 0 && first > 0) neighbours.push_back({world.rank() - 1, 1, 0});
    if (count > 0 && first + count < problem.rows) neighbours.push_back({world.rank() + 1, count, count + 1});

    for (std::size_t step = 0; step < problem.steps && count > 0; ++step) {
        std::vector<rankpool::Request> leaving;
        std::vector<rankpool::RecvRequest<Row>> arriving;
        for (const Neighbour& neighbour : neighbours) {
            arriving.push_back(world.irecv<Row>(neighbour.rank));
            leaving.push_back(world.isend(band[neighbour.mine], neighbour.rank));
        }
        relax(band, next, 2, count);  // the rows within the band
        for (std::size_t i = 0; i < neighbours.size(); ++i) band[neighbours[i].theirs] = arriving[i].wait();
        relax(band, next, 1, 2);
        if (count > 1) relax(band, next, count, count + 1);
        for (rankpool::Request& request : leaving) request.wait();
        std::swap(band, next);
    }
    return world.gatherv(std::span(band).subspan(1, count));
}

void print(const std::vector<Row>& plate) {
    double maximum = 0;
    std::uint64_t checksum = 0xcbf29ce484222325;  // FNV-1a, a cell at a time
    for (const Row& row : plate) {
        maximum = std::max(maximum, *std::max_element(row.begin(), row.end()));
        for (const double cell : row) checksum = (checksum ^ std::bit_cast<std::uint64_t>(cell)) * 0x100000001b3;
    }
    std::printf("maximum %.6f, checksum %016llx", maximum, static_cast<unsigned long long>(checksum));
}

/// False when that is not what the program takes.
bool parse(std::span<char*> arguments, Problem& problem) {
    std::size_t* const places[] = {&problem.rows, &problem.columns, &problem.steps};
    std::size_t given = 0;
    for (const std::string_view argument : arguments) {
        if (argument == "--serial") {
            problem.serial = true;
            continue;
        }
        if (given == 3) return false;
        std::size_t& number = *places[given++];
        const char* const end = argument.data() + argument.size();
        const auto [stopped, error] = std::from_chars(argument.data(), end, number);
        if (error != std::errc() || stopped != end || number > 1'000'000'000) return false;
    }
    return given != 1 && problem.rows > 0 && problem.columns > 0;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        const bool speaks = world.rank() == 0;
        Problem problem;
        const std::span<char*> words(argv, static_cast<std::size_t>(argc));
        if (!parse(words.subspan(words.empty() ? 0 : 1), problem)) {
            if (speaks) std::fprintf(stderr, "usage: heat [--serial] [ROWS COLUMNS [STEPS]]\n");
            return 2;
        }
        if (problem.serial && !speaks) return 0;
        const std::vector<Row> plate = problem.serial ? solve_alone(problem) : solve_together(problem, world);
        if (!speaks) return 0;

        std::printf("heat: %zu x %zu, %zu steps, ", problem.rows, problem.columns, problem.steps);
        if (problem.serial)
            std::printf("serial: ");
        else
            std::printf("%d rank(s): ", world.size());
        print(plate);
        const bool equal = problem.serial || plate == solve_alone(problem);
        if (!problem.serial) std::printf(", %s the serial run", equal ? "equal to" : "NOT EQUAL to");
        std::printf("\n");
        return equal ? 0 : 1;
    });
}
