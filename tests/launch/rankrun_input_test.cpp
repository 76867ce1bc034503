// rankrun --stdin: who gets standard input, and that nothing is taken from it before a rank reads.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;

const std::string echo_lines = "while read line; do echo $RANK: $line; done";

TEST(RankrunInput, GoesToTheRankThatIsNamed) {
    const auto result = rankrun({"-n", "3", "--stdin", "1", "sh", "-c", echo_lines}, {.input = "one\ntwo\n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"1: one", "1: two"}));
}

TEST(RankrunInput, GoesToNobody) {
    const auto result =
        subprocess::run({"sh", "-c", "\"$0\" -n 2 --stdin none cat; cat", programs().rankrun}, {.input = "left\n"});
    EXPECT_EQ(result.out, "left\n");
}

TEST(RankrunInput, GoesToAll) {
    const auto result = rankrun({"-n", "3", "--stdin", "all", "sh", "-c", echo_lines}, {.input = "one\ntwo\n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"0: one", "0: two", "1: one", "1: two", "2: one", "2: two"}));
}

// The kinds of standard input: a shell's words before and after a command that uses it.
struct Kind {
    std::string name, before, behind;
};

class RankrunInputOf : public testing::TestWithParam<Kind> {
  protected:
    const ScriptDirectory directory;

    // Runs `job` and then prints what it left.
    std::string run(const std::string& job, const std::string& text) {
        const std::string file = directory.write("text", text);
        const auto result = subprocess::run(
            {"sh", "-c", GetParam().before + " sh -c '" + job + "; echo left:; cat' " + GetParam().behind,
             programs().rankrun, file, programs().streams},
            {.limit = 60s});
        EXPECT_FALSE(result.timed_out);
        EXPECT_EQ(result.err, "");
        EXPECT_EQ(result.left_behind, Words());
        return result.out;
    }
};

TEST_P(RankrunInputOf, NothingIsTakenThatNobodyReads) {
    EXPECT_EQ(run("$RANKRUN -n 2 --stdin all true", "one\ntwo\n"), "left:\none\ntwo\n");
}

TEST_P(RankrunInputOf, WhatTheQuickestReadIsTaken) {
    // Rank 1 reads two lines, byte by byte, rank 0 one.
    const std::string out =
        run("$RANKRUN -n 2 --stdin all sh -c \"read a; [ \\$RANK = 0 ] || read b; echo \\$RANK \\$a \\$b\"",
            "one\ntwo\nthree\n");
    const auto left = out.find("left:\n");
    ASSERT_NE(left, std::string::npos) << out;
    EXPECT_EQ(sorted_lines(out.substr(0, left)), (Words{"0 one", "1 one two"}));
    EXPECT_EQ(out.substr(left), "left:\nthree\n");
}

TEST_P(RankrunInputOf, ManyPagesReachEveryRankThatReads) {
    std::string text;
    for (int i = 0; i < 20000; ++i) text += "line " + std::to_string(i) + "\n";
    // Rank 2 does not read and holds nobody up.
    const std::string out = run("$RANKRUN -n 3 --stdin all sh -c \"[ \\$RANK = 2 ] || cksum\"", text);
    const std::string file = directory.write("again", text);
    const std::string sum = subprocess::run({"sh", "-c", "cksum <\"$0\"", file}).out;
    EXPECT_EQ(out, sum + sum + "left:\n");
}

INSTANTIATE_TEST_SUITE_P(Input, RankrunInputOf,
                         testing::Values(Kind{"File", "export RANKRUN=\"$0\";", "<\"$1\""},
                                         Kind{"Pipe", "export RANKRUN=\"$0\"; cat \"$1\" |", ""},
                                         Kind{"Socket", "export RANKRUN=\"$0\"; \"$2\" over-socket \"$1\"", ""}),
                         [](const auto& kind) { return kind.param.name; });

TEST(RankrunInput, LoopOverLinesStartsAJobForEach) {
    const auto result = subprocess::run(
        {"sh", "-c", "while read line; do \"$0\" -n 2 --stdin all true; echo $line; done", programs().rankrun},
        {.input = "one\ntwo\nthree\n"});
    EXPECT_EQ(result.out, "one\ntwo\nthree\n");
}

TEST(RankrunInput, ThatSomebodyElseReadHoldsNothingUp) {
    const ScriptDirectory directory;
    Bell input(directory.path("input")), go(directory.path("go"));
    std::ofstream(directory.path("input")) << "x\n";
    const auto result =
        subprocess::run({"sh", "-c", "exec \"$0\" -n 1 --stdin all bash -c \"$1\" \"$2\" <\"$3\"", programs().rankrun,
                         "until read -t 0; do :; done; echo offered; read word <\"$0\"; read line; echo got $line",
                         directory.path("go"), directory.path("input")},
                        {.limit = 30s, .when_printed = "offered", .then = [&](pid_t) {
                             EXPECT_TRUE(input.heard() && input.heard());  // what the rank has not read yet
                             std::ofstream(directory.path("go")) << "now\n";
                         }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(lines_from(result.out, "got"), Words{"got x"});
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunInput, ThatCannotBeReadIsNoEndOfIt) {
    const auto result = subprocess::run(
        {"sh", "-c", "exec \"$0\" -n 2 --restarts 1 --stdin all cat </", programs().rankrun}, {.limit = 30s});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 1);
    expect_one_line(result, "rankrun:", "read(standard input): Is a directory");
}

TEST(RankrunInput, ThatNobodyHandsOutAnyMoreEndsTheJob) {
    const ScriptDirectory directory;
    const Bell open_end(directory.path("input"));
    const auto result = subprocess::run(
        {"sh", "-c", "exec \"$0\" -n 2 --restarts 1 --stdin all sh -c 'echo ready; cat; echo end' <\"$1\"",
         programs().rankrun, directory.path("input")},
        {.limit = 30s, .when_printed = "ready", .then = [](pid_t rankrun) {
             send(child_of(minder_of(rankrun), "rank-input"), SIGKILL);
         }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    expect_one_line(result, "rankrun:", "the process that hands out standard input (pid ");
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunInput, WrongNamesAreRefused) {
    for (const std::string who : {"everybody", "-1", "2", "1x"}) {
        const auto result = rankrun({"-n", "2", "--stdin", who, "true"});
        EXPECT_EQ(result.exit_code, 2);
        expect_one_line(result, "rankrun:", "--stdin " + who);
    }
}

}  // namespace
