// GoogleTest inside of rankpool::run(): the tests of Process alone and under each launcher. The same tests are linked with
// a main that never calls run(), with and without a thread that was there before it.
#include <gtest/gtest.h>

#include <rankpool/run.hpp>

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return rankpool::run(argc, argv, [] { return RUN_ALL_TESTS(); });
}
