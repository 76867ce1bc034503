// The same program by every launcher over three machines: the same bytes, and workers on all of them.
#include "cluster/nodes.hpp"

namespace cluster {
namespace {

class SameBytes : public OnClusterBy {
  protected:
    static void expect_same(const Words& command) {
        const std::string alone = output_of(command);
        EXPECT_NE(alone, "");
        EXPECT_EQ(output_of(started(2, command)), alone);
    }
};

TEST_P(SameBytes, WordCount) { expect_same({programs().word_count, "/usr/share/common-licenses"}); }

TEST_P(SameBytes, Sweep) { expect_same({programs().sweep, "--steps", "50", programs().iris}); }

#ifdef RANKPOOL_TEST_MANDELBROT  // where libpng is
TEST_P(SameBytes, Mandelbrot) {
    const Words draw{RANKPOOL_TEST_MANDELBROT, "--size", "61", "43", "--iterations", "100"};
    output_of(draw + Words{file("alone.png")});
    output_of(started(2, draw + Words{file("many.png")}));
    EXPECT_NE(content(file("alone.png")), "");
    EXPECT_TRUE(content(file("many.png")) == content(file("alone.png")));
}
#endif

// Messages that wait, arrive late and are sent again.
TEST_P(SameBytes, OverASlowAndLossyLink) {
    struct Slow {
        Slow() { told({"slow"}); }
        ~Slow() noexcept(false) { told({"fast"}); }
    } slow;
    expect_same({programs().word_count, "/usr/share/common-licenses"});
}

INSTANTIATE_TEST_SUITE_P(By, SameBytes, testing::ValuesIn(launchers()), [](const auto& launcher) { return launcher.param; });

class Workers : public OnClusterBy {};

TEST_P(Workers, NameTheirHosts) {
    EXPECT_EQ(output_of(started(2, {programs().workers, "hosts", "6"})), "node1: 2 workers\nnode2: 2 workers\nnode3: 2 workers\n");
}

TEST_P(Workers, OneOnAnotherHostIsLost) {
    EXPECT_EQ(output_of(started(1, {programs().workers, "loss", "6", directory()})), "lost 1 of 24, on another host\n");
}

INSTANTIATE_TEST_SUITE_P(By, Workers, testing::ValuesIn(launchers()), [](const auto& launcher) { return launcher.param; });

class Starts : public OnClusterBy {};

// Slurm lets the other nodes' ranks out of MPI_Init before rank 0 can receive anything.
TEST_P(Starts, RankZeroIsLateInMpiInit) {
    const Words command{programs().word_count, "/usr/share/common-licenses"};
    EXPECT_EQ(output_of(started(2, Words{"env", std::string("LD_PRELOAD=") + RANKPOOL_TEST_LATE_IN_MPI_INIT} + command)), output_of(command));
}

INSTANTIATE_TEST_SUITE_P(By, Starts, testing::ValuesIn(launchers()), [](const auto& launcher) { return launcher.param; });

using ThroughRankrun = OnCluster;

TEST_F(ThroughRankrun, Srun) {
    const Words command{programs().word_count, "/usr/share/common-licenses"};
    EXPECT_EQ(output_of(Words{programs().rankrun, "--via", "srun", "--hosts", "node1:2,node3:2"} + command), output_of(command));
    EXPECT_EQ(output_of({programs().rankrun, "--via", "srun", "--hosts", "node2,node3", programs().workers, "hosts", "2"}),
              "node2: 1 workers\nnode3: 1 workers\n");
}

TEST_F(ThroughRankrun, HostsThroughMpirun) {
    EXPECT_EQ(output_of({programs().rankrun, "--hosts", "node1:2,node3", programs().workers, "hosts", "3"}),
              "node1: 2 workers\nnode3: 1 workers\n");
}

// In an allocation of several nodes no option is needed.
TEST_F(ThroughRankrun, Allocation) {
    EXPECT_EQ(output_of({"salloc", "--quiet", "--nodes=3", "--ntasks=3", programs().rankrun, programs().workers, "hosts", "3"}),
              "node1: 1 workers\nnode2: 1 workers\nnode3: 1 workers\n");
}

}  // namespace
}  // namespace cluster
