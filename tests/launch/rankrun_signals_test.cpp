// rankrun: how a job is ended, by whomever, and that nothing of it is left.
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

// ---- the other ranks, when one has failed: SIGTERM, then SIGKILL ----

// Runs a job whose ranks must be killed, but hear before that they shall end: with more grace where the machine was so
// busy that its end came first.
Result with_enough_grace(std::size_t ranks, const std::string& heard,
                         const std::function<Result(const std::string&)>& run) {
    for (double grace = 0.2;; grace *= 4) {
        const Result result = run(std::to_string(grace));
        EXPECT_FALSE(result.timed_out);
        EXPECT_EQ(result.left_behind, Words());
        if (subprocess::lines_with(result.out, heard).size() == ranks) return result;
        if (grace < 10) continue;
        ADD_FAILURE() << result.out;
        return result;
    }
}

TEST(RankrunLadder, ARankThatIgnoresSigtermIsKilledAfterItsGrace) {
    const auto result = with_enough_grace(2, "heard SIGTERM", [](const std::string& grace) {
        const ScriptDirectory directory;
        return subprocess::run({programs().rankrun, "--grace", grace, "-n", "3", programs().signals,
                                directory.path("list"), "last-fails", "deaf"},
                               {.limit = 60s});
    });
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(lines_from(result.err, "rankrun:").size(), 1u) << result.err;
}

TEST(RankrunLadder, ASignalToRankrunStartsItToo) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        const auto result =
            with_enough_grace(2, std::string("heard SIG") + sigabbrev_np(signal), [&](const std::string& grace) {
                const ScriptDirectory directory;
                Bell bell(directory.path("bell"));
                return subprocess::run(
                    {programs().rankrun, "--grace", grace, "-n", "2", programs().signals, directory.path("list"),
                     "deaf", directory.path("bell")},
                    {.limit = 60s, .when_printed = "all wait", .then = [&](pid_t rankrun) { send(rankrun, signal); }});
            });
        EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    }
}

TEST(RankrunLadder, StartsWhenARankCannotBeStartedToo) {
    // The limit is for a user who has no other processes; root has none.
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to become such a user";
    const auto run = [](const Words& command) {
        Words words{"prlimit",
                    "--nproc=4",
                    "setpriv",
                    "--reuid=64321",
                    "--inh-caps=+dac_override",
                    "--ambient-caps=+dac_override"};
        words.insert(words.end(), command.begin(), command.end());
        return subprocess::run(words, {.limit = 30s});
    };
    if (run({"true"}).exit_code != 0) GTEST_SKIP() << "such a user cannot be had here";
    // Two processes are rankrun's, so the third rank is one too many. The signal waits until a rank takes it.
    const ScriptDirectory directory;
    const auto result = run({"env", "--block-signal=TERM", programs().rankrun, "--grace", "1000", "--restarts", "1",
                             "-n", "4", programs().signals, directory.path("list"), "last-fails"});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(sorted_lines(result.out), (Words{"rank 0 heard SIGTERM", "rank 1 heard SIGTERM"})) << result.err;
    EXPECT_EQ(result.left_behind, Words());
    expect_one_line(result, "rankrun:", "rank 2 cannot be started: fork(");
}

TEST(RankrunLadder, EndsEarlyWhenAllAreGone) {
    const ScriptDirectory directory;
    const auto result = subprocess::run(
        {programs().rankrun, "--grace", "1000", "-n", "3", programs().signals, directory.path("list"), "last-fails"},
        {.limit = 30s});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 3);
}

TEST(RankrunLadder, AWrappersProgramHasItsGraceToo) {
    // The shell dies of SIGTERM at once; its program, in the same group, needs a moment to end in order.
    const ScriptDirectory directory;
    Bell never(directory.path("never"));
    const auto program = directory.script("program",
                                          "trap ':' TERM\ntrap 'echo saved; exit 0' USR1\necho ready\n"
                                          "while :; do read word <" +
                                              directory.path("never") + "; done\n");
    const auto wrapper = directory.script("wrapper", program + "\ntrue\n");
    const auto result = subprocess::run({programs().rankrun, "--grace", "1000", "-n", "1", wrapper},
                                        {.limit = 30s, .when_printed = "ready", .then = [&](pid_t rankrun) {
                                             const pid_t leader = rank_of(rankrun, 0);
                                             send(rankrun, SIGTERM);
                                             EXPECT_TRUE(comes_true([&] { return state_of(leader) == '-'; }));
                                             send(rankrun, SIGUSR1);  // reaches the program still
                                         }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 128 + SIGTERM);
    EXPECT_NE(result.out.find("saved"), std::string::npos) << result.out << result.err;
    EXPECT_EQ(result.left_behind, Words());
}

// ---- signals sent to rankrun ----

class RankrunSignals : public testing::TestWithParam<int> {};

TEST_P(RankrunSignals, ReachEveryRanksGroup) {
    const ScriptDirectory directory;
    const int signal = GetParam();
    const auto result = subprocess::run(
        {programs().rankrun, "--grace", "1000", "-n", "3", programs().signals, directory.path("list")},
        {.limit = 30s, .when_printed = "all wait", .then = [&](pid_t rankrun) { send(rankrun, signal); }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 0) << result.err;  // they end with 0
    Words expected{"all wait"};
    for (const std::string rank : {"0", "1", "2"})
        for (const std::string who : {"rank ", "child of rank "})
            expected.push_back(who + rank + " heard SIG" + sigabbrev_np(signal));
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(sorted_lines(result.out), expected);
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(result.left_behind, Words());
}

INSTANTIATE_TEST_SUITE_P(Signal, RankrunSignals, testing::Values(SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2),
                         [](const auto& signal) { return std::string("SIG") + sigabbrev_np(signal.param); });

class RankrunKilled : public testing::Test {
  protected:
    const ScriptDirectory directory;
    Result run_until(const std::string& printed, const Words& command, const std::function<void(pid_t)>& then) {
        Words words{programs().rankrun};
        words.insert(words.end(), command.begin(), command.end());
        Result result = subprocess::run(words, {.limit = 30s, .when_printed = printed, .then = then});
        EXPECT_FALSE(result.timed_out);
        EXPECT_EQ(result.left_behind, Words());
        return result;
    }
    Words sleepers(int ranks) {  // ranks with children, in sessions of their own too
        const auto script = directory.script("sleepers",
                                             "setsid sleep 1000 &\nsleep 1000 &\n(trap '' TERM INT HUP; exec setsid sh "
                                             "-c 'sleep 1000 & sleep 1000') &\n" +
                                                 ("exec " + programs().signals) + " " + directory.path("list") + "\n");
        return {"-n", std::to_string(ranks), script};
    }
    Words long_tasks(int ranks) {
        return {
            "-n",    std::to_string(ranks), programs().long_tasks, directory.path("list"), std::to_string(ranks + 1),
            "family"};
    }
};

TEST_F(RankrunKilled, OneSignalEndsRanksThatDieOfIt) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        const auto result = run_until("ready", {"-n", "2", "sh", "-c", "[ $RANK = 0 ] && echo ready; exec sleep 1000"},
                                      [&](pid_t rankrun) { send(rankrun, signal); });
        EXPECT_EQ(result.exit_code, 128 + signal);
        EXPECT_EQ(result.err, "");  // who ended it knows why
    }
}

TEST_F(RankrunKilled, SecondInterruptKillsAtOnce) {
    Bell bell(directory.path("bell"));
    const auto result = run_until(
        "all wait",
        {"--grace", "1000", "-n", "2", programs().signals, directory.path("list"), "deaf", directory.path("bell")},
        [&](pid_t rankrun) {
            send(rankrun, SIGINT);
            EXPECT_TRUE(bell.heard() && bell.heard());  // both ranks have heard the first
            send(rankrun, SIGINT);
        });
    EXPECT_EQ(subprocess::lines_with(result.out, "heard SIGINT").size(), 2u) << result.out;
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

TEST_F(RankrunKilled, StopsAndContinuesWithItsRanks) {
    const auto result =
        run_until("ready", {"-n", "2", "sh", "-c", "[ $RANK = 0 ] && echo ready; exec sleep 1000"}, [&](pid_t rankrun) {
            const pid_t all[] = {rankrun, rank_of(rankrun, 0), rank_of(rankrun, 1)};
            send(rankrun, SIGTSTP);
            for (const pid_t pid : all) EXPECT_TRUE(comes_true([&] { return state_of(pid) == 'T'; }));
            send(rankrun, SIGCONT);
            for (const pid_t pid : all) EXPECT_TRUE(comes_true([&] { return state_of(pid) != 'T'; }));
            send(rankrun, SIGTERM);
        });
    EXPECT_EQ(result.exit_code, 128 + SIGTERM);
}

TEST_F(RankrunKilled, StoppedRanksHearThatTheyShallEnd) {
    const auto result =
        run_until("ready", {"--grace", "1000", "-n", "2", "sh", "-c", "[ $RANK = 0 ] && echo ready; exec sleep 1000"},
                  [&](pid_t rankrun) {
                      for (const int rank : {0, 1}) {
                          const pid_t pid = rank_of(rankrun, rank);
                          send(pid, SIGSTOP);
                          EXPECT_TRUE(comes_true([&] { return state_of(pid) == 'T'; }));
                      }
                      send(rankrun, SIGTERM);
                  });
    EXPECT_EQ(result.exit_code, 128 + SIGTERM);
}

TEST_F(RankrunKilled, BySigkillLeavesNoRankNorWhatItStarted) {
    const auto result = run_until("all wait", sleepers(3), [](pid_t rankrun) { send(rankrun, SIGKILL); });
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

TEST_F(RankrunKilled, BySigkillLeavesNoWorkers) {
    const auto result = run_until("all run", long_tasks(2), [](pid_t rankrun) { send(rankrun, SIGKILL); });
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

TEST_F(RankrunKilled, BySigkillLeavesNoFiles) {
    // Where nobody else makes any: a /tmp and a /dev/shm of their own.
    const std::string own = "mount -t tmpfs none /tmp && mount -t tmpfs none /dev/shm";
    if (subprocess::run({"unshare", "-m", "sh", "-c", own}).exit_code != 0)
        GTEST_SKIP() << "needs root, to mount directories";
    const auto result = subprocess::run({"unshare", "-m", "sh", "-c",
                                         own + "; \"$0\" -n 2 \"$1\" /tmp/list 3 family; echo ended with $?; rm "
                                               "/tmp/list; find /tmp /dev/shm ! -type d",
                                         programs().rankrun, programs().long_tasks},
                                        {.limit = 30s, .when_printed = "all run", .then = [](pid_t shell) {
                                             send(child_of(shell, "rankrun"), SIGKILL);
                                         }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.out.substr(result.out.find("ended")), "ended with 137\n");
    EXPECT_EQ(result.left_behind, Words());
}

TEST_F(RankrunKilled, MinderBySigkillLeavesNothingAndIsSaid) {
    for (const Words& command : {sleepers(3), long_tasks(2)}) {
        std::filesystem::remove(directory.path("list"));
        const auto result = run_until("all ", command, [](pid_t rankrun) { send(minder_of(rankrun), SIGKILL); });
        EXPECT_NE(result.exit_code, 0);
        EXPECT_LT(result.exit_code, 128);
        const auto lines = lines_from(result.err, "rankrun:");
        ASSERT_EQ(lines.size(), 1u) << result.err;
        EXPECT_NE(lines[0].find("was killed"), std::string::npos) << lines[0];
    }
}

TEST_F(RankrunKilled, StandardOutputEndsWithTheJob) {
    // Nobody who is left holds it open: subprocess::run would wait a second for its end.
    const auto result = run_until("all wait", sleepers(2), [](pid_t rankrun) { send(rankrun, SIGTERM); });
    EXPECT_EQ(result.exit_code, 0) << result.err;
}

// ---- what ranks leave behind ----

// A parent that ignores SIGCHLD hands that down.
TEST(RankrunLadder, SigchldMayBeIgnored) {
    const auto result = subprocess::run({"env", "--ignore-signal=CHLD", programs().rankrun, "-n", "2", "grep", "SigIgn", "/proc/self/status"}, {.limit = 30s});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Words lines = sorted_lines(result.out);
    ASSERT_EQ(lines.size(), 2u) << result.out;
    for (const std::string& line : lines) EXPECT_NE(std::stoull(line.substr(line.find_last_of(" \t") + 1), nullptr, 16) & 1ull << (SIGCHLD - 1), 0u) << line;
}

TEST(RankrunLeftovers, ABackgroundProcessGoesWithTheJob) {
    for (const std::string end : {"exit 0", "exit 3"}) {
        const auto result =
            subprocess::run({programs().rankrun, "-n", "2", "sh", "-c",
                             "sleep 1000 & setsid sleep 1000 & setsid sh -c 'sleep 1000 & exec sleep 1000' & " + end},
                            {.limit = 30s});
        EXPECT_FALSE(result.timed_out);
        EXPECT_EQ(result.exit_code, end == "exit 0" ? 0 : 3) << result.err;
        EXPECT_EQ(result.left_behind, Words());
    }
}

TEST(RankrunLeftovers, WorkersGoWithTheirRank) {
    // rank 1 is killed while its workers run: they, and the rest of the job, are gone.
    const ScriptDirectory directory;
    const auto result = subprocess::run(
        {programs().rankrun, "-n", "2", programs().long_tasks, directory.path("list"), "4"},
        {.limit = 30s, .when_printed = "all run", .then = [](pid_t rankrun) { send(rank_of(rankrun, 1), SIGKILL); }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    EXPECT_EQ(lines_from(result.err, "rankrun: rank 1").size(), 1u) << result.err;
    EXPECT_EQ(result.left_behind, Words());
}

}  // namespace
