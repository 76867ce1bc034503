// A user's program, built against the installed package, or against the sources, by its own project.
#include <cstdio>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [] {
        rankpool::Pool pool(2);
        for (const int square : pool.map([](int x) { return x * x; }, {1, 2, 3})) std::printf("%d ", square);
        std::printf("rankpool %s\n", rankpool::version().c_str());
    });
}
