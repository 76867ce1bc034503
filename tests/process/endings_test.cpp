// How programs end that have processes running: whom they wait for, what is printed, and that nothing is left.
#include <gtest/gtest.h>

#include <csignal>

#include "process/channel.hpp"
#include "process/watch.hpp"
#include "support/subprocess.hpp"

namespace {

using namespace std::chrono_literals;
using subprocess::Result;
using Words = std::vector<std::string>;

// The program that was built with a thread before its main makes every process by executing itself again.
struct Way {
    std::string name, program, style;
};

const auto name_of = [](const auto& info) { return info.param.name; };

class Endings : public testing::TestWithParam<Way> {
  protected:
    Result run(const Words& words, subprocess::Options options = {}) const {
        Words command{GetParam().program, GetParam().style};
        command.insert(command.end(), words.begin(), words.end());
        options.limit = 60s;
        Result result = subprocess::run(command, options);
        EXPECT_FALSE(result.timed_out) << result.out << result.err;
        EXPECT_EQ(result.left_behind, Words());
        return result;
    }
};

INSTANTIATE_TEST_SUITE_P(Of, Endings,
                         testing::Values(Way{"run", RANKPOOL_TEST_ENDINGS, "run"}, Way{"spmd", RANKPOOL_TEST_ENDINGS, "spmd"},
                                         Way{"plain", RANKPOOL_TEST_ENDINGS, "plain"}, Way{"run_with_thread", RANKPOOL_TEST_ENDINGS_WITH_THREAD, "run"},
                                         Way{"plain_with_thread", RANKPOOL_TEST_ENDINGS_WITH_THREAD, "plain"}),
                         name_of);

TEST_P(Endings, WaitForProcessesThatAreNoDaemons) {
    for (const std::string way : {"return", "exit"}) {
        const Channel channel;
        const auto result = run({way, channel.path()});
        EXPECT_EQ(result.exit_code, 3) << result.err;
        EXPECT_EQ(result.out, "main done\nchild done\n") << way;
        EXPECT_EQ(result.err, "");
    }
}

TEST_P(Endings, WaitForProcessesAfterAnError) {
    if (GetParam().style == "plain") return;  // there it is std::terminate
    const Channel channel;
    const auto result = run({"throw", channel.path()});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_EQ(result.out, "main done\nchild done\n");
    EXPECT_EQ(watch::occurrences(result.err, "std::runtime_error: enough"), 1) << result.err;
}

TEST_P(Endings, WaitForProcessesOfProcesses) {
    const Channel channel;
    const auto result = run({"nested", channel.path()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "grandchild done\n");
}

TEST_P(Endings, TerminateDaemons) {
    for (const std::string way : {"daemon", "nested-daemon"}) {
        const Channel channel;
        const auto result = run({way, channel.path()});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(result.out, "daemon terminated\n") << way;
    }
}

TEST_P(Endings, BySignalLeaveNothing) {
    for (const int signal : {SIGKILL, SIGTERM, SIGINT}) {
        const Channel channel;
        const auto result = run({"endless", channel.path()}, {.when_printed = "all run", .then = [signal](pid_t program) { kill(program, signal); }});
        EXPECT_EQ(result.exit_code, 128 + signal);
        EXPECT_EQ(result.out, "all run\n");
        EXPECT_EQ(result.err, "");
    }
}

TEST_P(Endings, PrintEverythingOnce) {
    const auto result = run({"output"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "in main in child ");
}

TEST_P(Endings, RunEverybodysOwnHandlers) {
    const auto result = run({"handlers"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "child's handler\nchild's handler\nmain's handler\nmain's static object\n");
}

TEST_P(Endings, WaitForWhatAStaticDestructorStarts) {
    const Channel channel;
    const auto result = run({"late", channel.path()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "child done\n");
}

TEST_P(Endings, OfWorkersTakeAlongWhatTheirTasksLeftRunning) {
    const Channel channel;
    const auto result = run({"task", channel.path()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "pool done\n");
}

TEST(EndingsOfRanks, WaitForProcesses) {
    for (const std::string style : {"run", "spmd"}) {
        const Channel channel;
        const auto result = subprocess::run({RANKPOOL_TEST_RANKRUN, "-n", "3", RANKPOOL_TEST_ENDINGS, style, "return", channel.path()}, {.limit = 60s});
        EXPECT_FALSE(result.timed_out);
        EXPECT_EQ(result.left_behind, Words());
        EXPECT_EQ(result.exit_code, 3) << result.err;
        EXPECT_EQ(watch::occurrences(result.out, "child done\n"), style == "run" ? 1 : 3) << result.out;
    }
}

// B075 of Python's behaviours: no program starts processes without end.
TEST(StaticInitialisers, MayStartAProcess) {
    const auto result = subprocess::run({RANKPOOL_TEST_STATIC_START}, {.limit = 60s});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "in child\nin main\n");
    EXPECT_EQ(result.left_behind, Words());
}

// Executed again, it would come to its static initialisers again.
TEST(StaticInitialisers, DoNotExecuteTheProgramAgain) {
    const auto result = subprocess::run({RANKPOOL_TEST_STATIC_START_WITH_THREAD}, {.limit = 60s});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "in main\n");
    EXPECT_EQ(watch::occurrences(result.err, "cannot load"), 1) << result.err;
    EXPECT_EQ(result.left_behind, Words());
}

}  // namespace
