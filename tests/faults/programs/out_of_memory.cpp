// A task that wants more memory than its control group has: the item is lost, and what() says why; the others are done.
#include <cstdio>
#include <cstring>
#include <vector>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [] {
        rankpool::Pool pool(2);
        const auto take = [](std::size_t mebibytes) {
            std::vector<char> memory(mebibytes << 20);
            std::memset(memory.data(), 1, memory.size());
            return memory.back() + 0;
        };
        int done = 0, told = 0;
        for (auto& outcome : pool.map_outcomes(take, std::vector<std::size_t>{1, 1000, 1, 1}, {.chunksize = 1})) {
            if (outcome.has_value()) {
                ++done;
                continue;
            }
            try {
                std::rethrow_exception(outcome.error());
            } catch (const rankpool::WorkerLost& lost) {
                std::puts(lost.what());
                told += std::strstr(lost.what(), "memory ran out") != nullptr && std::strstr(lost.what(), "is 150 MiB") != nullptr && lost.item() == 1;
            }
        }
        return done == 3 && told == 1 ? 0 : 1;
    });
}
