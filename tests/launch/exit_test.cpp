// What a program's end means for its job, under every launcher.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

const auto name_of = [](const auto& info) { return info.param; };

class Ends : public testing::TestWithParam<std::string> {
  protected:
    Result run(int ranks, Words words) const {
        words.insert(words.begin(), programs().endings);
        Result result = subprocess::run(start(GetParam(), ranks, words), {.limit = 30s});
        EXPECT_FALSE(result.timed_out) << result.out << result.err;
        EXPECT_EQ(result.left_behind, Words());
        return result;
    }
    bool alone() const { return GetParam() == "alone"; }
};

// The one line of ours about an error, where the launcher has its own to add.
std::string only_line(const Result& result) {
    const auto lines = lines_from(result.err, "rankpool:");
    EXPECT_EQ(lines.size(), 1u) << result.err;
    return lines.empty() ? "" : lines.front();
}

// ---- run() ----

class RunEnds : public Ends {};
INSTANTIATE_TEST_SUITE_P(Under, RunEnds, testing::ValuesIn(all()), name_of);

TEST_P(RunEnds, WithZeroWhenMainReturnsNothing) {
    const auto result = run(3, {"run", "void"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "in main\n");
    EXPECT_EQ(result.err, "");
}

TEST_P(RunEnds, WithWhatMainReturns) {
    const auto zero = run(3, {"run", "return", "0"});
    EXPECT_EQ(zero.exit_code, 0) << zero.err;
    const auto seven = run(3, {"run", "return", "7"});
    EXPECT_EQ(seven.exit_code, 7) << seven.err;
    EXPECT_EQ(seven.out, "in main\n");
}

TEST_P(RunEnds, WithWhatMainExitsWith) {
    const auto zero = run(3, {"run", "exit", "0"});
    EXPECT_EQ(zero.exit_code, 0) << zero.err;
    const auto five = run(3, {"run", "exit", "5"});
    EXPECT_EQ(five.exit_code, 5) << five.err;
    EXPECT_EQ(five.out, "in main\n");
}

TEST_P(RunEnds, WithOneWhenMainThrows) {
    const auto result = run(3, {"run", "throw"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(only_line(result), "rankpool: uncaught exception in main: std::invalid_argument: nothing to do");
}

TEST_P(RunEnds, WithOneWhenMainThrowsWhatIsNoException) {
    const auto result = run(3, {"run", "throw-own"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(only_line(result).find("Unheard"), std::string::npos) << result.err;
}

TEST_P(RunEnds, WithOneAndTheWorkerNamedWhenATaskThrows) {
    const auto result = run(3, {"run", "throw-in-task"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(only_line(result), "rankpool: uncaught exception in main: std::out_of_range: three is too much");
    const auto origin = subprocess::lines_with(result.err, "thrown by item 3 in worker");
    ASSERT_EQ(origin.size(), 1u) << result.err;
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    EXPECT_NE(origin[0].find(std::string(" on ") + host), std::string::npos) << origin[0];
    EXPECT_EQ(origin[0].find("rank") == std::string::npos, alone()) << origin[0];
}

TEST_P(RunEnds, InALogicErrorWhenCalledTwice) {
    const auto result = run(2, {"run", "twice"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "in main").size(), 1u) << result.out;
    EXPECT_EQ(subprocess::lines_with(result.out, "logic_error: rankpool::run was called a second time").size(),
              alone() ? 1u : 2u)
        << result.out;
    EXPECT_EQ(subprocess::lines_with(result.out, "second main"), Words());
}

// ---- spmd() ----

class SpmdEnds : public Ends {};
INSTANTIATE_TEST_SUITE_P(Under, SpmdEnds, testing::ValuesIn(all()), name_of);

TEST_P(SpmdEnds, WithZeroWhenAllReturnZero) {
    const auto result = run(3, {"spmd", "return"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
}

TEST_P(SpmdEnds, WithTheFirstCodeByRank) {
    const auto first = run(3, {"spmd", "return", "0", "4", "9"});
    EXPECT_EQ(first.exit_code, alone() ? 0 : 4) << first.err;
    const auto zeroth = run(3, {"spmd", "return", "6", "4", "0"});
    EXPECT_EQ(zeroth.exit_code, 6) << zeroth.err;
    const auto last = run(3, {"spmd", "return", "0", "0", "9"});
    EXPECT_EQ(last.exit_code, alone() ? 0 : 9) << last.err;
}

TEST_P(SpmdEnds, OnlyAfterAllHaveReturned) {
    // rank 0 returns a code at once; the others still print.
    const ScriptDirectory directory;
    const auto result = run(3, {"spmd", "early", "8", directory.path("list")});
    EXPECT_EQ(result.exit_code, 8) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "works on").size(), alone() ? 0u : 2u) << result.out;
}

TEST_P(SpmdEnds, WithoutFailureWhenOneReturnsEarly) {
    const ScriptDirectory directory;
    const auto result = run(3, {"spmd", "early", "0", directory.path("list")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "works on").size(), alone() ? 0u : 2u) << result.out;
    EXPECT_EQ(result.err, "");
}

TEST_P(SpmdEnds, WithEverythingPrinted) {
    // The launcher ends the job at the first code that is not 0: by then nothing may be in anybody's buffer.
    const auto result = run(3, {"spmd", "print", "2"});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    Words lines;
    for (int rank = 0; rank < ranks_under(GetParam(), 3); ++rank)
        lines.push_back("rank " + std::to_string(rank) + " has spoken");
    EXPECT_EQ(sorted_lines(result.out), lines);
}

TEST_P(SpmdEnds, AtOnceWhenARankThrows) {
    for (const std::string thrower : {"0", "2"}) {
        if (alone() && thrower != "0") continue;
        const auto result = run(3, {"spmd", "throw", thrower});
        EXPECT_EQ(result.exit_code, 1) << result.err;
        EXPECT_EQ(result.out, "");
        char host[256] = {};
        gethostname(host, sizeof host - 1);
        const auto line = only_line(result);
        EXPECT_EQ(line.find("rankpool: uncaught exception in rank " + thrower + " (pid "), 0u) << line;
        EXPECT_NE(line.find(std::string(" on ") + host + "): std::length_error: this rank has had enough"),
                  std::string::npos)
            << line;
    }
}

TEST_P(SpmdEnds, InALogicErrorWhenCalledTwice) {
    const auto result = run(2, {"spmd", "twice"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "logic_error: rankpool::spmd was called a second time").size(),
              alone() ? 1u : 2u)
        << result.out;
    EXPECT_EQ(subprocess::lines_with(result.out, "second main"), Words());
}

}  // namespace
