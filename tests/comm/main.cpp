// GoogleTest inside of rankpool::spmd(): the same binary is tested alone, under rankrun and under each mpirun.
#include "comm/world.hpp"

#include <cstdio>
#include <memory>
#include <string>

namespace comm_test {
namespace {

rankpool::Communicator* of_this_job = nullptr;

/// What ranks other than 0 print: what fails, and nothing else.
class Failures : public testing::EmptyTestEventListener {
  public:
    explicit Failures(int rank) : rank_(rank) {}

  private:
    void OnTestStart(const testing::TestInfo& test) override { test_ = std::string(test.test_suite_name()) + "." + test.name(); }
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        const char* file = result.file_name() == nullptr ? "?" : result.file_name();
        std::printf("[rank %d] %s: %s:%d: %s\n", rank_, test_.c_str(), file, result.line_number(), result.message());
        std::fflush(stdout);
    }

    int rank_;
    std::string test_;
};

}  // namespace

rankpool::Communicator& world() { return *of_this_job; }

}  // namespace comm_test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    // An exception that no test expects leaves the ranks in different calls: it ends the job, instead of letting them wait.
    GTEST_FLAG_SET(catch_exceptions, false);
    return rankpool::spmd(argc, argv, [](rankpool::Communicator& world) {
        comm_test::of_this_job = &world;
        if (world.rank() != 0) {
            auto& listeners = testing::UnitTest::GetInstance()->listeners();
            const std::unique_ptr<testing::TestEventListener> printer(listeners.Release(listeners.default_result_printer()));
            listeners.Append(new comm_test::Failures(world.rank()));  // GoogleTest's from here on
        }
        return RUN_ALL_TESTS();
    });
}
