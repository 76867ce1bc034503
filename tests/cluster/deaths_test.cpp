// A job over three machines that loses rank 0, or a whole machine: it ends, and nothing of it is left on the others.
#include <csignal>

#include "cluster/nodes.hpp"

namespace cluster {
namespace {

class Deaths : public OnClusterBy {
  protected:
    // The workers' tasks never end.
    int code_after(const std::function<void()>& blow) {
        const auto result = run(started(1, {programs().long_tasks, file("list"), "3"}),
                                {.when_printed = "all run", .then = [&](pid_t) { blow(); }});
        return result.exit_code;
    }
};

TEST_P(Deaths, RankZero) {
    EXPECT_NE(code_after([] { EXPECT_EQ(kill(rank_zero_of(programs().long_tasks), SIGKILL), 0); }), 0);
}

TEST_P(Deaths, WholeNode) {
    const int code = code_after([] { told({"power-off", "node3"}); });
    // MPICH's mpirun has 0 for ranks that it heard nothing more of.
    if (GetParam() != "mpich") {
        EXPECT_NE(code, 0);
    }
    told({"power-on", "node3"});
}

INSTANTIATE_TEST_SUITE_P(By, Deaths, testing::ValuesIn(launchers()), [](const auto& launcher) { return launcher.param; });

}  // namespace
}  // namespace cluster
