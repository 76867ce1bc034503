// The price of a European call option by simulation: one block of paths an item, their moments added by map_reduce.
//
//     monte_carlo [--paths N] [--seed N] [--spot S] [--strike K] [--rate R] [--volatility V] [--years T]
//                 [--workers N] [--chunksize N] [--backend NAME]
//
//     ./monte_carlo                    alone: a worker process for every usable CPU
//     rankrun -n 4 ./monte_carlo       workers on four ranks of this machine
//     mpirun -n 4 ./monte_carlo        the same over MPI
//
// All of them print the same, to the last digit, whatever the number of workers, the chunksize and the backend. Two
// things make it so. A path's random numbers are a function of the seed and the path's number: the generator has no
// state that one worker would have to hand to the next. And map_reduce adds in an order that depends on the number of
// blocks only. (On other kinds of CPU the C library's logarithm may round in another way.) The exact price is known for
// this option, from Black and Scholes; the simulation is shown next to it.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <rankpool/rankpool.hpp>

#include "pool_choices.hpp"

namespace {

using Words = std::array<std::uint32_t, 4>;

/// Four random words for a counter: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
/// as 1, 2, 3" (2011). Other counters and other keys give independent words.
constexpr Words philox(Words counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0];
        const std::uint64_t second = std::uint64_t{0xCD9E8D57} * counter[2];
        const auto high = [](std::uint64_t product) { return static_cast<std::uint32_t>(product >> 32); };
        const auto low = [](std::uint64_t product) { return static_cast<std::uint32_t>(product); };
        counter = {high(second) ^ counter[1] ^ key[0], low(second), high(first) ^ counter[3] ^ key[1], low(first)};
        key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
    }
    return counter;
}
static_assert(philox({}, {}) == Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});  // its authors' known answer

/// A normally distributed number for each path, by the method of Box and Muller.
double normal(std::uint64_t path, std::uint64_t seed) {
    const auto low = [](std::uint64_t number) { return static_cast<std::uint32_t>(number); };
    const Words words = philox({low(path), low(path >> 32), 0, 0}, {low(seed), low(seed >> 32)});
    const auto uniform = [](std::uint32_t a, std::uint32_t b) {  // between 0 and 1, neither of them
        const std::uint64_t bits = (std::uint64_t{a} << 32 | b) >> 12;
        return (static_cast<double>(bits) + 0.5) * 0x1p-52;
    };
    return std::sqrt(-2 * std::log(uniform(words[0], words[1]))) *
           std::cos(2 * std::numbers::pi * uniform(words[2], words[3]));
}

/// The right to buy at the strike in some years what costs the spot today. Rate and volatility are those of a year.
struct Call {
    double spot = 100, strike = 100, rate = 0.05, volatility = 0.2, years = 1;
};

double exact_price(const Call& call) {
    const auto below = [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; };  // of the normal distribution
    const double spread = call.volatility * std::sqrt(call.years);
    const double d = (std::log(call.spot / call.strike) + call.rate * call.years) / spread + spread / 2;
    return call.spot * below(d) - call.strike * std::exp(-call.rate * call.years) * below(d - spread);
}

struct Moments {
    std::uint64_t paths = 0;
    double sum = 0, squares = 0;  // of what the option paid
};

Moments joined(Moments a, Moments b) { return {a.paths + b.paths, a.sum + b.sum, a.squares + b.squares}; }

/// The task: a plain struct of numbers travels with them. Called with the number of a block.
struct SimulateBlock {
    static constexpr std::uint64_t length = 10'000;

    Call call;
    std::uint64_t paths, seed;

    Moments operator()(std::uint64_t block) const {
        const double drift = (call.rate - call.volatility * call.volatility / 2) * call.years;
        const double spread = call.volatility * std::sqrt(call.years);
        Moments moments;
        for (std::uint64_t path = block * length; path < std::min(paths, (block + 1) * length); ++path) {
            const double price = call.spot * std::exp(drift + spread * normal(path, seed));
            const double paid = std::max(price - call.strike, 0.0);
            moments = joined(moments, {1, paid, paid * paid});
        }
        return moments;
    }
};

int monte_carlo(int argc, char** argv) {
    Call call;
    std::uint64_t paths = 10'000'000, seed = 1;
    PoolChoices choices;
    CLI::App app("Simulates the price of a European call option.", "monte_carlo");
    app.add_option("--paths", paths, "10000000")->check(CLI::Range(std::uint64_t{2}, std::uint64_t{1} << 40));
    app.add_option("--seed", seed, "Another seed, other paths; 1");
    app.add_option("--spot", call.spot, "Price today; 100")->check(CLI::PositiveNumber);
    app.add_option("--strike", call.strike, "Price at which it may be bought; 100")->check(CLI::PositiveNumber);
    app.add_option("--rate", call.rate, "Interest of a year; 0.05")->check(CLI::Range(-1.0, 10.0));
    app.add_option("--volatility", call.volatility, "Standard deviation of a year's return; 0.2")
        ->check(CLI::Range(1e-6, 10.0));
    app.add_option("--years", call.years, "1")->check(CLI::Range(1e-6, 1000.0));
    choices.add_to(app, "Blocks");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }

    std::vector<std::uint64_t> blocks((paths + SimulateBlock::length - 1) / SimulateBlock::length);
    std::iota(blocks.begin(), blocks.end(), 0);
    rankpool::Pool pool(choices.pool);
    const Moments moments = pool.map_reduce(SimulateBlock{call, paths, seed}, blocks, joined, Moments{}, choices.map);

    const double count = static_cast<double>(moments.paths), discount = std::exp(-call.rate * call.years);
    const double mean = moments.sum / count, variance = (moments.squares - moments.sum * mean) / (count - 1);
    const double price = discount * mean, exact = exact_price(call);
    std::printf("paths:          %llu\n", static_cast<unsigned long long>(moments.paths));
    std::printf("price:          %.17g\n", price);
    std::printf("standard error: %.2g\n", discount * std::sqrt(std::max(variance, 0.0) / count));
    std::printf("exact price:    %.10g, %+.2g from it\n", exact, price - exact);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] { return monte_carlo(argc, argv); });
}
