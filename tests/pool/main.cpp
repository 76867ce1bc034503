// GoogleTest inside of rankpool::run(): the same binary is tested alone, under rankrun and under each mpirun.
#include <gtest/gtest.h>

#include <cstdlib>

#include "pool/backends.hpp"

namespace pool_test {
int set_before_run = 0;
int set_after_run = 0;
}  // namespace pool_test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    pool_test::set_before_run = 41;
    return rankpool::run(argc, argv, [] {
        pool_test::set_after_run = 42;
        return RUN_ALL_TESTS();
    });
}
