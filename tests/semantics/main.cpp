// GoogleTest inside of rankpool::run(), as pool/main.cpp; and the programs that a test starts to see how they end.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include <rankpool/rankpool.hpp>
#include "semantics/ends_with_a_pool.hpp"

namespace {
std::unique_ptr<rankpool::Pool> kept_for_ever;

// Makes a pool that is never closed, and leaves work in it.
int end_with_a_pool() {
    kept_for_ever = std::make_unique<rankpool::Pool>(3);
    if (kept_for_ever->map([](int x) { return x + 1; }, {1, 2}) != std::vector{2, 3}) return 1;
    kept_for_ever->apply_async([] { for (;;) pause(); });
    return 0;
}

int exit_with_a_pool() {
    rankpool::Pool pool(3);
    if (pool.map([](int x) { return x + 1; }, {1, 2}) != std::vector{2, 3}) return 1;
    pool.apply_async([] { for (;;) pause(); });
    std::exit(3);
}
}  // namespace

int main(int argc, char** argv) {
    const std::string_view order = argc > 1 ? argv[1] : "";
    if (order == semantics::end_without_run) return end_with_a_pool();
    if (order == semantics::end_inside_run) return rankpool::run(argc, argv, end_with_a_pool);
    if (order == semantics::exit_without_run) return exit_with_a_pool();
    if (order == semantics::exit_inside_run) return rankpool::run(argc, argv, exit_with_a_pool);
    testing::InitGoogleTest(&argc, argv);
    return rankpool::run(argc, argv, [] { return RUN_ALL_TESTS(); });
}
