// GoogleTest inside of rankpool::spmd(): the same binary is tested alone, under rankrun and under each mpirun.
#include "comm/world.hpp"
#include "support/ranks_print.hpp"

namespace comm_test {
namespace {
rankpool::Communicator* of_this_job = nullptr;
}  // namespace

rankpool::Communicator& world() { return *of_this_job; }

}  // namespace comm_test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    // An exception that no test expects leaves the ranks in different calls: it ends the job, instead of letting them wait.
    GTEST_FLAG_SET(catch_exceptions, false);
    return rankpool::spmd(argc, argv, [](rankpool::Communicator& world) {
        comm_test::of_this_job = &world;
        ranks_print::as_rank(world.rank());
        return RUN_ALL_TESTS();
    });
}
