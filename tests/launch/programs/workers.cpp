// Pool style: "main: n workers on ranks r r r" from main, for a pool of the size given (default 0).
#include <cstdio>
#include <cstdlib>
#include <string>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        rankpool::Pool pool(argc > 1 ? std::atoi(argv[1]) : 0);
        std::string text = "main: " + std::to_string(pool.size()) + " workers on ranks";
        for (const auto& worker : pool.workers()) text += " " + std::to_string(worker.rank);
        std::printf("%s\n", text.c_str());
        std::fflush(stdout);
    });
}
