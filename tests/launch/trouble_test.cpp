// Communicators in trouble, under every launcher: a rank dies, leaves, throws or aborts while the others wait for it,
// or the ranks do not call the same. The job ends by itself, is a failure, says why, and leaves nothing behind.
#include <gtest/gtest.h>

#include <csignal>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

constexpr int ranks = 3;
const Words waits{"barrier", "bcast", "recv"};  // for rank 1
// Over shared memory ranks wait in another way where there are more of them than CPUs.
const Words few_cpus{"RANKPOOL_CPU_COUNT=1"}, many_cpus{"RANKPOOL_CPU_COUNT=64"};
const Words checks{"RANKPOOL_CHECK=1"}, no_checks{"RANKPOOL_CHECK=0"};

const auto name_of = [](const auto& info) { return info.param; };

Words joined(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

Result run(const Words& command, const Words& environment = {}) {
    Result result = subprocess::run(command, {.environment = environment, .limit = 30s});
    EXPECT_FALSE(result.timed_out) << result.out << result.err;
    EXPECT_EQ(result.left_behind, Words());
    return result;
}

Result trouble(const std::string& launcher, const Words& words, const Words& environment = {}) {
    return run(start(launcher, ranks, joined({RANKPOOL_TEST_TROUBLE}, words)), environment);
}

void expect_words(const std::string& line, const Words& words) {
    for (const std::string& word : words)
        EXPECT_NE(line.find(word), std::string::npos) << word << " is not in: " << line;
}

// MPICH's launcher says something on standard output too.
void expect_nobody_got_through(const Result& result) {
    EXPECT_EQ(subprocess::lines_with(result.out, "got through"), Words());
}

class Trouble : public testing::TestWithParam<std::string> {
  protected:
    const std::string& launcher() const { return GetParam(); }
    bool rankrun() const { return launcher() == "rankrun"; }
};

// ---- a rank dies ----

class RankDies : public Trouble {};
INSTANTIATE_TEST_SUITE_P(Under, RankDies, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(RankDies, AndTheJobWithIt) {
    for (const auto& wait : waits) {
        SCOPED_TRACE(wait);
        const auto result = trouble(launcher(), {"rank_dies", wait});
        EXPECT_NE(result.exit_code, 0);
        expect_nobody_got_through(result);
        if (!rankrun()) continue;
        EXPECT_EQ(result.exit_code, 128 + SIGKILL);
        const auto lines = lines_from(result.err, "rankrun:");
        ASSERT_EQ(lines.size(), 1u) << result.err;
        expect_words(lines[0], {"rank 1 (pid ", "SIGKILL"});
    }
}

// The others have SIGTERM from rankrun before they could say a word, unless they do not listen.
TEST(RankDiesUnderRankrun, AndIsNamedByThoseThatWait) {
    for (const auto& wait : waits)
        for (const auto& cpus : {few_cpus, many_cpus}) {
            SCOPED_TRACE(wait + ' ' + cpus[0]);
            const auto result = run({programs().rankrun, "--grace", "1000", "-n", std::to_string(ranks),
                                     RANKPOOL_TEST_TROUBLE, "rank_dies", wait, "deaf"},
                                    joined(no_checks, cpus));
            EXPECT_EQ(result.exit_code, 128 + SIGKILL);
            expect_nobody_got_through(result);
            for (const std::string rank : {"0", "2"}) {
                const auto lines = lines_from(result.err, "rankpool: uncaught exception in rank " + rank + " (pid ");
                ASSERT_EQ(lines.size(), 1u) << result.err;
                expect_words(lines[0], {"rank " + rank + " waits to ", "rank 1, which has ended",
                                        wait == "recv" ? "receive from" : "do " + wait + " together with"});
            }
        }
}

TEST(RankDiesUnderRankrun, AndIsNamedWhereOperationsAreChecked) {
    const auto result = run({programs().rankrun, "--grace", "1000", "-n", std::to_string(ranks), RANKPOOL_TEST_TROUBLE,
                             "rank_dies", "barrier", "deaf"},
                            checks);
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    expect_nobody_got_through(result);
    EXPECT_EQ(subprocess::lines_with(result.err, "rank 1, which has ended").size(), 2u) << result.err;
}

// ---- a rank leaves ----

class RankLeaves : public Trouble {};
INSTANTIATE_TEST_SUITE_P(Under, RankLeaves, testing::ValuesIn(rankrun_and_mpis()), name_of);

// What spmd() does after main is a collective operation too.
TEST_P(RankLeaves, AndIsFoundOutWhereOperationsAreChecked) {
    for (const std::string wait : {"barrier", "bcast"}) {
        SCOPED_TRACE(wait);
        const auto result = trouble(launcher(), {"rank_leaves", wait}, checks);
        EXPECT_NE(result.exit_code, 0);
        expect_nobody_got_through(result);
        const auto lines = subprocess::lines_with(result.err, "rank 0 calls " + wait);
        ASSERT_FALSE(lines.empty()) << result.err;
        expect_words(lines[0], {"rank 1 calls "});
    }
}

TEST(RankLeavesUnderRankrun, ByExitAndIsNamedByThoseThatWait) {
    for (const auto& wait : waits)
        for (const auto& cpus : {few_cpus, many_cpus}) {
            SCOPED_TRACE(wait + ' ' + cpus[0]);
            const auto result = trouble("rankrun", {"rank_exits", wait}, joined(no_checks, cpus));
            EXPECT_EQ(result.exit_code, 1);
            expect_nobody_got_through(result);
            EXPECT_FALSE(subprocess::lines_with(result.err, "rank 1, which has ended").empty()) << result.err;
        }
}

TEST(RankLeavesUnderRankrun, ByReturnAndTheJobEnds) {
    for (const auto& cpus : {few_cpus, many_cpus}) {
        SCOPED_TRACE(cpus[0]);
        const auto result = trouble("rankrun", {"rank_leaves", "barrier"}, joined(no_checks, cpus));
        EXPECT_NE(result.exit_code, 0);
        EXPECT_FALSE(subprocess::lines_with(result.err, "rank 1").empty()) << result.err;
    }
}

TEST(RankLeavesUnderRankrun, ByReturnAndEndsTheWaitOfTheOthers) {
    for (const auto& wait : waits)
        for (const auto& cpus : {few_cpus, many_cpus}) {
            SCOPED_TRACE(wait + ' ' + cpus[0]);
            const auto result = trouble("rankrun", {"rank_leaves", wait}, joined(no_checks, cpus));
            EXPECT_NE(result.exit_code, 0);
            expect_nobody_got_through(result);
            EXPECT_FALSE(subprocess::lines_with(result.err, "rank 1").empty()) << result.err;
        }
}

// ---- a rank throws, or aborts ----

class RankThrows : public Trouble {};
INSTANTIATE_TEST_SUITE_P(Under, RankThrows, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(RankThrows, AndTheJobEndsWithItsError) {
    for (const auto& wait : waits) {
        SCOPED_TRACE(wait);
        const auto result = trouble(launcher(), {"throws", wait});
        EXPECT_EQ(result.exit_code, 1) << result.err;
        expect_nobody_got_through(result);
        const auto lines = subprocess::lines_with(result.err, "trouble at rank 1");
        ASSERT_EQ(lines.size(), 1u) << result.err;
        EXPECT_EQ(lines[0].find("rankpool: uncaught exception in rank 1 (pid "), 0u) << lines[0];
        expect_words(lines[0], {": std::runtime_error: trouble at rank 1"});
    }
}

class RankAborts : public Trouble {};
INSTANTIATE_TEST_SUITE_P(Under, RankAborts, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(RankAborts, AndTheJobEndsWithItsCode) {
    for (const auto& wait : waits) {
        SCOPED_TRACE(wait);
        const auto result = trouble(launcher(), {"abort", wait});
        EXPECT_NE(result.exit_code, 0);
        expect_nobody_got_through(result);
        if (!rankrun()) continue;
        EXPECT_EQ(result.exit_code, 42);
        EXPECT_EQ(lines_from(result.err, "rankpool:"), Words());
        const auto lines = lines_from(result.err, "rankrun:");
        ASSERT_EQ(lines.size(), 1u) << result.err;
        expect_words(lines[0], {"rank 1 (pid ", "42"});
    }
}

TEST_P(RankAborts, AndNobodyTakesItForSuccess) {
    const auto result = trouble(launcher(), {"abort_without_code", waits.front()});
    EXPECT_NE(result.exit_code, 0);
    expect_nobody_got_through(result);
    if (rankrun()) {
        EXPECT_EQ(result.exit_code, 1);
    }
}

// ---- the ranks disagree ----

struct Disagreement {
    std::string about;
    Words words;  // both views
};
const Disagreement disagreements[] = {
    {"disagree_operation", {"rank 0 calls barrier", "rank 1 calls bcast of int with root 0"}},
    {"disagree_root", {"rank 0 calls bcast of int with root 0", "rank 1 calls bcast of int with root 1"}},
    {"disagree_size", {"rank 0 calls allgather_into of 2 int", "rank 1 calls allgather_into of 3 int"}},
    {"disagree_op", {"rank 0 calls allreduce", "plus", "rank 1 calls allreduce", "multiplies"}},
};

class RanksDisagree : public Trouble {};
INSTANTIATE_TEST_SUITE_P(Under, RanksDisagree, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(RanksDisagree, AndTheJobEndsWithBothViews) {
    for (const auto& each : disagreements) {
        SCOPED_TRACE(each.about);
        const auto result = trouble(launcher(), {each.about}, checks);
        EXPECT_NE(result.exit_code, 0);
        if (rankrun()) {
            EXPECT_EQ(result.exit_code, 1);
        }
        expect_nobody_got_through(result);
        // From one rank at least: the first to end ends the others.
        const auto lines = lines_from(result.err, "rankpool: uncaught exception in rank ");
        ASSERT_FALSE(lines.empty()) << result.err;
        expect_words(lines[0], {"rankpool::Error: "});
        for (const auto& line : lines) expect_words(line, each.words);
    }
}

TEST_P(RanksDisagree, AndEveryRankThrowsWithBothViews) {
    for (const auto& each : disagreements) {
        SCOPED_TRACE(each.about);
        const auto result = trouble(launcher(), {each.about, "caught"}, checks);
        EXPECT_EQ(result.exit_code, 7) << result.err;
        expect_nobody_got_through(result);
        for (int rank = 0; rank < ranks; ++rank) {
            const auto lines = lines_from(result.out, "rank " + std::to_string(rank) + " caught: ");
            ASSERT_EQ(lines.size(), 1u) << result.out;
            expect_words(lines[0], each.words);
        }
    }
}

// Nobody waits for ever for a rank that only reduces by another operation: it is not found out without checks.
TEST_P(RanksDisagree, UnnoticedWithoutChecks) {
    const auto result = trouble(launcher(), {"disagree_op", "caught"}, no_checks);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "got through").size(), std::size_t{ranks}) << result.out;
}

TEST_P(RanksDisagree, AndAreCheckedInDebugBuilds) {
    const auto result = trouble(launcher(), {"disagree_op", "caught"}, {"RANKPOOL_CHECK"});
#ifdef NDEBUG
    EXPECT_EQ(result.exit_code, 0) << result.err;
#else
    EXPECT_EQ(result.exit_code, 7) << result.err;
#endif
}

// ---- the check level ----

class CheckLevel : public Trouble {};
INSTANTIATE_TEST_SUITE_P(Under, CheckLevel, testing::ValuesIn(all()), name_of);

TEST_P(CheckLevel, IsOneOrZero) {
    for (const std::string level : {"1", "0", ""}) {
        const auto result = run(start(launcher(), ranks, {programs().ranks}), {"RANKPOOL_CHECK=" + level});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), all_ranks(ranks_under(launcher(), ranks)));
    }
}

void expect_refused_once(const Result& result, const Words& words) {
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(subprocess::lines_with(result.out, "rank "), Words());
    const auto lines = lines_from(result.err, "rankpool:");
    ASSERT_EQ(lines.size(), 1u) << result.err;
    expect_words(lines[0], words);
}

TEST_P(CheckLevel, OfAnotherValueIsRefusedOnce) {
    expect_refused_once(run(start(launcher(), ranks, {programs().ranks}), {"RANKPOOL_CHECK=yes"}), {"RANKPOOL_CHECK", "yes", "expected 1", "or 0"});
}

TEST_P(CheckLevel, AnotherNumberOfThreadsIsRefusedOnceToo) {
    expect_refused_once(run(start(launcher(), ranks, {programs().ranks}), {"RANKPOOL_THREADS=2"}), {"RANKPOOL_THREADS", "2", "expected one", "or several"});
}

TEST_P(CheckLevel, AnotherLeaderIsRefusedOnceToo) {
    expect_refused_once(run(start(launcher(), ranks, {programs().ranks}), {"RANKPOOL_LEADERS=2"}), {"RANKPOOL_LEADERS", "2", "expected node", "or rank"});
    if (launcher() == "alone") return;  // nobody is to be led
    expect_refused_once(run(start(launcher(), ranks, {programs().workers}), {"RANKPOOL_LEADERS=2"}), {"RANKPOOL_LEADERS", "2", "expected node", "or rank"});
}

// ---- nothing is wrong, but it takes long ----

TEST(RanksWait, WithoutUsingACpu) {
    for (const auto& wait : waits)
        for (const auto& cpus : {few_cpus, many_cpus})
            for (const auto& level : {no_checks, checks}) {
                SCOPED_TRACE(wait + ' ' + cpus[0] + ' ' + level[0]);
                const auto result = trouble("rankrun", {"idle", wait}, joined(cpus, level));
                EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
                EXPECT_EQ(subprocess::lines_with(result.out, "got through").size(), std::size_t{ranks - 1});
                EXPECT_EQ(subprocess::lines_with(result.out, " of CPU in ").size(), 1u);
            }
}

}  // namespace
