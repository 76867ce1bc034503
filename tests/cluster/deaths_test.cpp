// A job over three machines that loses rank 0, or a whole machine: it ends, and nothing of it is left on the others.
#include <csignal>

#include "cluster/nodes.hpp"

namespace cluster {
namespace {

class Deaths : public OnClusterBy {
  protected:
    // The workers' tasks never end.
    void expect_end(const std::function<void()>& blow) {
        const auto result = run(started(1, {programs().long_tasks, file("list"), "3"}),
                                {.when_printed = "all run", .then = [&](pid_t) { blow(); }});
        EXPECT_NE(result.exit_code, 0);
    }
};

TEST_P(Deaths, RankZero) {
    expect_end([] { EXPECT_EQ(kill(rank_zero_of(programs().long_tasks), SIGKILL), 0); });
}

TEST_P(Deaths, WholeNode) {
    expect_end([] { told({"power-off", "node3"}); });
    told({"power-on", "node3"});
}

INSTANTIATE_TEST_SUITE_P(By, Deaths, testing::ValuesIn(launchers()), [](const auto& launcher) { return launcher.param; });

}  // namespace
}  // namespace cluster
