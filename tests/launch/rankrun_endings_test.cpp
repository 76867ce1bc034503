// rankrun: time limits and restarts.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;

// ---- --timeout ----

TEST(RankrunTimeout, EndsTheJobWith124) {
    const auto result =
        rankrun({"--timeout", "0.2", "-n", "2", "sh", "-c", "trap 'echo ended; exit 7' TERM; sleep 1000 & wait"},
                {.limit = 30s});
    EXPECT_EQ(result.exit_code, 124);
    EXPECT_EQ(sorted_lines(result.out), (Words{"ended", "ended"}));  // they are asked first
    expect_one_line(result, "rankrun:", "0.2 s (--timeout)");
}

TEST(RankrunTimeout, KillsThoseThatDoNotEnd) {
    const auto result = rankrun(
        {"--timeout", "0.1", "--grace", "0.1", "-n", "2", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"},
        {.limit = 30s});
    EXPECT_EQ(result.exit_code, 124);
}

TEST(RankrunTimeout, IsNothingToAJobThatEndsBefore) {
    const auto result = rankrun({"--timeout", "1000", "-n", "2", "sh", "-c", "exit 3"}, {.limit = 30s});
    EXPECT_EQ(result.exit_code, 3);
}

TEST(RankrunTimeout, IsForAllRestartsTogether) {
    // No start lasts that long, and all of them together would last for minutes.
    const auto result =
        rankrun({"--timeout", "1", "--restarts", "1000", "-n", "1", "sh", "-c", "sleep 0.3; exit 3"}, {.limit = 30s});
    EXPECT_TRUE(result.exit_code == 124 || result.exit_code == 3) << result.exit_code;  // it may end between two
}

TEST(RankrunTimeout, IsNothingToAJobThatFailedBefore) {
    // Rank 1 outlives the time, and the job is not started again behind it. Where the machine was so busy that the time
    // came first, once more with more of it.
    for (double time = 0.5; time < 20; time *= 2) {
        const ScriptDirectory directory;
        Bell deaf(directory.path("deaf"));
        const auto result = rankrun({"--timeout", std::to_string(time), "--grace", std::to_string(time * 1.5),
                                     "--restarts", "1", "-n", "2", "sh", "-c",
                                     "[ $RANK = 0 ] && { read word <\"$0\"; exit 3; }; trap '' TERM; echo deaf "
                                     ">\"$0\"; while :; do sleep 1; done",
                                     directory.path("deaf")},
                                    {.limit = 60s});
        if (lines_from(result.err, "rankrun: rank 0 ").empty()) continue;
        EXPECT_EQ(result.exit_code, 3);
        EXPECT_EQ(lines_from(result.err, "rankrun:").size(), 1u) << result.err;
        return;
    }
    FAIL() << "rank 0 has not failed in time";
}

TEST(RankrunTimeout, NeedsATime) {
    for (const std::string time : {"0", "-1", "soon", "nan"}) {
        const auto result = rankrun({"--timeout", time, "true"});
        EXPECT_EQ(result.exit_code, 2) << time;
        expect_one_line(result, "rankrun:", "timeout");
    }
}

// ---- --grace: rankrun_signals_test.cpp has the ladder itself ----

TEST(RankrunGrace, NothingIsAtOnce) {
    const ScriptDirectory directory;
    const auto result = rankrun(
        {"--grace", "0", "-n", "3", programs().signals, directory.path("list"), "last-fails", "deaf"}, {.limit = 30s});
    EXPECT_EQ(result.exit_code, 3);
}

// ---- --restarts ----

TEST(RankrunRestarts, TheWholeJobStartsAgain) {
    const ScriptDirectory directory;
    // Rank 1 ends by itself once rank 0 has come through; both are started each time.
    Words command{"--restarts",
                  "5",
                  "-n",
                  "2",
                  "sh",
                  "-c",
                  "echo $RANK: $RANKPOOL_RESTARTS; [ $RANK = 1 ] || exit 0; echo x >>\"$0\"; [ $(wc -l <\"$0\") -ge 3 "
                  "] || exit 5",
                  directory.path("starts")};
    const auto result = rankrun(command, {.limit = 60s});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "1: "), (Words{"1: 0", "1: 1", "1: 2"}));
    EXPECT_EQ(subprocess::lines_with(result.err, "starting the job again"),
              (Words{"rankrun: starting the job again (restart 1 of 5)",
                     "rankrun: starting the job again (restart 2 of 5)"}));
}

TEST(RankrunRestarts, AreAtMostSoMany) {
    const ScriptDirectory directory;
    const auto result = rankrun({"--restarts", "2", "-n", "1", "sh", "-c", "echo started; exit 5"}, {.limit = 30s});
    EXPECT_EQ(result.exit_code, 5);
    EXPECT_EQ(sorted_lines(result.out).size(), 3u);
    const auto none = rankrun({"-n", "1", "sh", "-c", "echo started; exit 5"}, {.limit = 30s});
    EXPECT_EQ(none.out, "started\n");
}

TEST(RankrunRestarts, NothingOfTheLastStartIsLeft) {
    // A process in a session of its own holds a lock, which the next start needs.
    const ScriptDirectory directory;
    const auto result =
        rankrun({"--restarts", "1", "-n", "1", "sh", "-c",
                 "exec 9>\"$0\"; flock -n 9 || exit 99; setsid sleep 1000 & [ $RANKPOOL_RESTARTS = 1 ] || exit 5",
                 directory.path("lock")},
                {.limit = 30s});
    EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(RankrunRestarts, RankpoolProgramsJoinTheNewJob) {
    const ScriptDirectory directory;
    const auto wrapper = directory.script("wrapper", "\"$1\" || exit; [ $RANKPOOL_RESTARTS = 1 ] || exit 5\n");
    const auto result = rankrun({"--restarts", "1", "-n", "2", wrapper, programs().ranks}, {.limit = 30s});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_GE(sorted_lines(result.out).size(), 3u) << result.out;
}

TEST(RankrunRestarts, OutputOfAllStartsIsKept) {
    const ScriptDirectory directory;
    for (const Words& more : {Words{}, Words{"-l"}}) {
        Words words{"--restarts", "1", "-o", directory.text(), "-n", "1"};
        words.insert(words.end(), more.begin(), more.end());
        words.insert(words.end(), {"sh", "-c", "echo start $RANKPOOL_RESTARTS; exit 5"});
        const auto result = rankrun(words, {.limit = 30s});
        EXPECT_EQ(result.exit_code, 5);
        std::ifstream in(directory.path("rank.0/stdout"));
        const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        EXPECT_EQ(text, more.empty() ? "start 0\nstart 1\n" : "[0] start 0\n[0] start 1\n");
    }
}

TEST(RankrunRestarts, NotWhenItIsToEndWhileOutputIsWaitedFor) {
    // The rank has failed, and what it wrote fits into its own pipe but, with labels, not into the one that nobody
    // reads.
    const ScriptDirectory directory;
    Bell unread(directory.path("pipe")), done(directory.path("bell"));
    const std::string rank =
        "yes | head -c 70000; echo $$ >" + directory.path("pid") + "; echo x >" + directory.path("bell") + "; exit 5";
    const auto result =
        subprocess::run({"sh", "-c", "echo begin; exec \"$0\" --restarts 3 -l -n 1 sh -c \"$1\" >\"$2\"",
                         programs().rankrun, rank, directory.path("pipe")},
                        {.limit = 30s, .when_printed = "begin", .then = [&](pid_t launcher) {
                             EXPECT_TRUE(done.heard());
                             pid_t pid = 0;
                             std::ifstream(directory.path("pid")) >> pid;
                             EXPECT_TRUE(comes_true([&] { return state_of(pid) == '-'; }));
                             send(launcher, SIGTERM);
                         }});
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 5);
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunRestarts, NotWhatCannotBeStartedOrWasToEnd) {
    const ScriptDirectory directory;
    const auto script = directory.script("broken", "");
    std::ofstream(script) << "#!/no/such/interpreter\n";
    const auto broken = rankrun({"--restarts", "3", "-n", "1", script}, {.limit = 30s});
    EXPECT_EQ(broken.err.find("again"), std::string::npos) << broken.err;
    const auto ended =
        rankrun({"--restarts", "3", "-n", "1", "sh", "-c", "echo ready; exec sleep 1000"},
                {.limit = 30s, .when_printed = "ready", .then = [](pid_t launcher) { send(launcher, SIGTERM); }});
    EXPECT_EQ(ended.exit_code, 128 + SIGTERM);
    EXPECT_EQ(ended.err, "");
    const auto wrong = rankrun({"--restarts", "-1", "true"});
    EXPECT_EQ(wrong.exit_code, 2);
    expect_one_line(wrong, "rankrun:", "--restarts -1");
}

}  // namespace
