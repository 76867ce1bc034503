// Who makes workers may die, by SIGKILL too: a second later nothing of it is left.
#include <gtest/gtest.h>

#include <csignal>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

// Starts `workers` endless tasks and acts once all of them run.
Result interrupt_tasks(const Words& before, int workers, const std::function<void(pid_t)>& act, const Words& way = {}) {
    const ScriptDirectory directory;
    Words command = before;
    command.insert(command.end(), {programs().long_tasks, directory.path("list"), std::to_string(workers)});
    command.insert(command.end(), way.begin(), way.end());
    Result result = subprocess::run(command, {.limit = 30s, .when_printed = "all run", .then = act});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.left_behind, Words());
    EXPECT_EQ(lines_from(result.out, "all run").size(), 1u) << result.out;
    return result;
}

TEST(ParentDeath, OfTheProgramLeavesNoWorkers) {
    const auto result = interrupt_tasks({}, 4, [](pid_t program) { send(program, SIGKILL); });
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

TEST(ParentDeath, OfTheProgramByOtherSignalsLeavesNoWorkers) {
    for (const int signal : {SIGTERM, SIGHUP, SIGQUIT, SIGABRT}) {
        const auto result = interrupt_tasks({"sh", "-c", "ulimit -c 0; exec \"$0\" \"$@\""}, 2,
                                            [&](pid_t program) { send(program, signal); });
        EXPECT_EQ(result.exit_code, 128 + signal);
    }
}

TEST(ParentDeath, OfRankZeroLeavesNoWorkers) {
    const auto result =
        interrupt_tasks({programs().rankrun, "-n", "3"}, 4, [](pid_t rankrun) { send(rank_of(rankrun, 0), SIGKILL); });
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    EXPECT_EQ(lines_from(result.err, "rankrun: rank 0 (pid ").size(), 1u) << result.err;
}

TEST(ParentDeath, OfAnotherRankLeavesNoWorkers) {
    const auto result =
        interrupt_tasks({programs().rankrun, "-n", "3"}, 4, [](pid_t rankrun) { send(rank_of(rankrun, 2), SIGKILL); });
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    EXPECT_EQ(lines_from(result.err, "rankrun: rank 2 (pid ").size(), 1u) << result.err;
}

TEST(ParentDeath, OfARankOfMpiLeavesNoWorkers) {
    for (const auto& mpi : mpis())
        for (const int rank : {0, 1}) {
            const auto result =
                interrupt_tasks(start(mpi, 2, {}), 3, [&](pid_t launcher) { send(rank_of(launcher, rank), SIGKILL); });
            EXPECT_NE(result.exit_code, 0) << mpi << ' ' << rank;
        }
}

// ---- Ctrl-C ----

TEST(Interrupt, EndsTheProgramBySigintAndItsWorkers) {
    const auto result = interrupt_tasks({}, 4, [](pid_t program) { send(program, SIGINT); });
    EXPECT_EQ(result.exit_code, 128 + SIGINT);
    EXPECT_EQ(result.err, "");
}

TEST(Interrupt, FromATerminalGoesToTheWholeGroup) {
    const auto result = interrupt_tasks({"setsid"}, 4, [](pid_t program) { kill(-program, SIGINT); });
    EXPECT_EQ(result.exit_code, 128 + SIGINT);
    EXPECT_EQ(result.err, "");
}

TEST(Interrupt, EndsAJobOfRankrun) {
    const auto result =
        interrupt_tasks({programs().rankrun, "-n", "3"}, 4, [](pid_t rankrun) { send(rankrun, SIGINT); });
    EXPECT_EQ(result.exit_code, 128 + SIGINT);
    EXPECT_EQ(result.err, "");
}

TEST(Interrupt, FromATerminalEndsRanksThatWaitAndTheirPools) {
    for (const std::string way : {"ranks", "spmd"}) {
        const auto result = interrupt_tasks({"setsid", programs().rankrun, "-n", "3"}, 3,
                                            [](pid_t rankrun) { kill(-rankrun, SIGINT); }, {way});
        EXPECT_EQ(result.exit_code, 128 + SIGINT) << way;
        EXPECT_EQ(result.err, "") << way;
    }
}

TEST(Interrupt, IsLeftToAHandlerOfTheProgramAndWorkersIgnoreIt) {
    const auto result = interrupt_tasks({"setsid"}, 3, [](pid_t program) { kill(-program, SIGINT); }, {"own"});
    EXPECT_EQ(result.exit_code, 5);
    EXPECT_EQ(lines_from(result.out, "heard SIGINT").size(), 1u) << result.out;
    EXPECT_EQ(lines_from(result.out, "3 results, 0 lost").size(), 1u) << result.out;
    EXPECT_EQ(result.err, "");
}

}  // namespace
