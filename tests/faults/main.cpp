// GoogleTest inside of rankpool::run(): the same binary is tested alone, under rankrun and under each mpirun.
#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return rankpool::run(argc, argv, [] { return RUN_ALL_TESTS(); });
}
