// map_reduce, as exact bytes: its digits depend neither on workers nor on chunks, backend or launch.
//
//     diff <(digest) <(mpirun -n 3 digest)      nothing
//
// Prints the sums' bytes. Exit code 1 when two of this run differ.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using rankpool::Backend;

struct Sums {
    double sum;        // of terms whose order and brackets show in the last digits
    float product;     // the same with another operation and type
    std::uint64_t text;  // hash of a concatenation: no operation that commutes

    bool operator==(const Sums& other) const { return std::memcmp(this, &other, sizeof *this) == 0; }
};

Sums sums_of(rankpool::Pool& pool, const std::vector<int>& items, std::size_t chunksize) {
    const rankpool::MapOptions options{.chunksize = chunksize};
    Sums sums{};
    sums.sum = pool.map_reduce([](int x) { return 1.0 / (x + 0.3); }, items, std::plus<>{}, 0.125, options);
    sums.product = pool.map_reduce([](int x) { return 1.0F + 1.0F / static_cast<float>(x + 7); }, items, std::multiplies<>{}, 1.0F, options);
    const auto text = pool.map_reduce([](int x) { return std::to_string(x); }, items, [](const std::string& a, const std::string& b) { return a + b; }, std::string("<"), options);
    sums.text = 14695981039346656037u;
    for (const char byte : text) sums.text = (sums.text ^ static_cast<unsigned char>(byte)) * 1099511628211u;
    return sums;
}

int print_sums() {
    for (const int count : {1, 1000, 5000}) {
        std::vector<int> items(static_cast<std::size_t>(count));
        std::iota(items.begin(), items.end(), 0);
        std::optional<Sums> first;
        for (const Backend backend : {Backend::serial, Backend::threads, Backend::processes, Backend::automatic})
            for (const int workers : {1, 2, 3, 7}) {
                rankpool::PoolOptions options;
                options.processes = workers;
                options.backend = backend;
                rankpool::Pool pool(options);
                for (const std::size_t chunksize : {0u, 1u, 13u}) {
                    const Sums sums = sums_of(pool, items, chunksize);
                    if (!first) first = sums;
                    if (sums == *first) continue;
                    std::fprintf(stderr, "%d items, backend %d, %d workers, chunksize %zu: %a %a %016llx\n", count, static_cast<int>(backend), workers, chunksize,
                                 sums.sum, static_cast<double>(sums.product), static_cast<unsigned long long>(sums.text));
                    return 1;
                }
            }
        std::printf("%d items: %a %a %016llx\n", count, first->sum, static_cast<double>(first->product), static_cast<unsigned long long>(first->text));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return rankpool::run(argc, argv, print_sums); }
