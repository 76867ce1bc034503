// A map whose progress is shown.
//
//     progress DOOR [throw]     of 20 items the first waits until DOOR, a named pipe, is opened; with "throw" it throws then
//
// Prints "sum 190", or "caught" and the error's text.
#include <cstdio>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "support/door.hpp"

int main(int argc, char** argv) {
    if (argc < 2) return 64;
    return rankpool::run(argc, argv, [&] {
        rankpool::Pool pool(2);
        std::vector<int> items(20);
        std::iota(items.begin(), items.end(), 0);
        const auto wait_at = [](const std::string& path, bool throws, int x) {
            if (x > 0) return x;
            door::pass(path);
            return throws ? throw std::runtime_error("first") : x;
        };
        try {
            const auto all = pool.map(rankpool::bind_shared(wait_at, std::string(argv[1]), argc > 2), items, {.chunksize = 1, .progress = true});
            std::printf("sum %d\n", std::accumulate(all.begin(), all.end(), 0));
        } catch (const std::runtime_error& error) {
            std::printf("caught %s\n", error.what());
        }
    });
}
