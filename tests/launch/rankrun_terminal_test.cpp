// rankrun at a terminal: keys that send signals, job control, and who reads what is typed.
#include <gtest/gtest.h>

#include <csignal>

#include "launch/launches.hpp"
#include "support/terminal.hpp"

namespace {

using namespace launches;

Words at_terminal(Words words) {
    words.insert(words.begin(), programs().rankrun);
    return words;
}

// With labels the launcher has processes of its own between the ranks and the terminal: it must make no difference.
class RankrunTerminal : public testing::TestWithParam<bool> {
  protected:
    const ScriptDirectory directory;
    ~RankrunTerminal() override { EXPECT_EQ(subprocess::left_behind(), Words()); }

    Words job(Words words) const {
        if (GetParam()) words.insert(words.begin(), "--label");
        return at_terminal(words);
    }
    std::string label(int rank) const { return GetParam() ? "[" + std::to_string(rank) + "] " : ""; }
};

TEST_P(RankrunTerminal, CtrlCReachesEveryRank) {
    Terminal terminal(job({"--grace", "1000", "-n", "2", programs().signals, directory.path("list")}));
    ASSERT_TRUE(terminal.shows("all wait")) << terminal.seen();
    terminal.type(Terminal::ctrl_c);
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();  // they end with 0
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), " heard SIGINT").size(), 4u) << terminal.seen();
    for (const int rank : {0, 1})
        EXPECT_EQ(subprocess::lines_with(terminal.seen(), label(rank) + "child of rank " + std::to_string(rank)).size(),
                  1u)
            << terminal.seen();
}

TEST_P(RankrunTerminal, CtrlCEndsRanksThatDieOfIt) {
    Terminal terminal(job({"--grace", "1000", "-n", "2", "sh", "-c", "echo ready $RANK; exec sleep 1000"}));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(terminal.shows("ready")) << terminal.seen();
    terminal.type(Terminal::ctrl_c);
    EXPECT_EQ(terminal.ended(), 128 + SIGINT) << terminal.seen();
    EXPECT_EQ(terminal.seen().find("rankrun:"), std::string::npos) << terminal.seen();  // who ended it knows why
}

TEST_P(RankrunTerminal, GraceHasAnEndForThoseThatDoNot) {
    Bell bell(directory.path("bell"));
    Terminal terminal(
        job({"--grace", "0.2", "-n", "2", programs().signals, directory.path("list"), "deaf", directory.path("bell")}));
    ASSERT_TRUE(terminal.shows("all wait")) << terminal.seen();
    terminal.type(Terminal::ctrl_c);
    EXPECT_EQ(terminal.ended(), 128 + SIGKILL) << terminal.seen();
}

TEST_P(RankrunTerminal, SecondCtrlCKillsAtOnce) {
    Bell bell(directory.path("bell"));
    Terminal terminal(job(
        {"--grace", "1000", "-n", "2", programs().signals, directory.path("list"), "deaf", directory.path("bell")}));
    ASSERT_TRUE(terminal.shows("all wait")) << terminal.seen();
    terminal.type(Terminal::ctrl_c);
    EXPECT_TRUE(bell.heard() && bell.heard());
    terminal.type(Terminal::ctrl_c);
    EXPECT_EQ(terminal.ended(), 128 + SIGKILL) << terminal.seen();
}

TEST_P(RankrunTerminal, CtrlZStopsAndForegroundContinues) {
    Terminal terminal(job({"--grace", "1000", "-n", "2", programs().signals, directory.path("list")}));
    ASSERT_TRUE(terminal.shows("all wait")) << terminal.seen();
    const pid_t all[] = {terminal.program(), rank_of(terminal.program(), 0), rank_of(terminal.program(), 1)};
    for (int times = 0; times < 2; ++times) {
        terminal.type(Terminal::ctrl_z);
        ASSERT_TRUE(terminal.stopped()) << terminal.seen();
        for (const pid_t pid : all) EXPECT_TRUE(comes_true([&] { return state_of(pid) == 'T'; }));
        terminal.foreground();
        for (const pid_t pid : all) EXPECT_TRUE(comes_true([&] { return state_of(pid) != 'T'; }));
    }
    terminal.type(Terminal::ctrl_c);
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();
}

TEST_P(RankrunTerminal, ClosingTheWindowEndsTheJob) {
    Terminal terminal(job({"--grace", "1000", "-n", "2", "sh", "-c", "echo ready; exec sleep 1000"}));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(terminal.shows("ready")) << terminal.seen();
    const pid_t rank = rank_of(terminal.program(), 1);
    terminal.hang_up();
    EXPECT_TRUE(comes_true([&] { return state_of(rank) == '-'; }));
}

TEST_P(RankrunTerminal, AWrappersProgramIsToldToEndToo) {
    // The shell dies of SIGTERM at once; its program has its grace. It looks for its signals between short naps: one that comes
    // just before a long one would be heard behind it.
    const auto program = directory.script(
        "program", "trap 'sleep 0.1; echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
    const auto wrapper = directory.script("wrapper", program + "\ntrue\n");
    Terminal terminal(job({"--grace", "1000", "-n", "2", wrapper}));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(terminal.shows("ready")) << terminal.seen();
    send(terminal.program(), SIGTERM);
    EXPECT_EQ(terminal.ended(), 128 + SIGTERM) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), "saved").size(), 2u) << terminal.seen();
}

TEST_P(RankrunTerminal, RanksMayWriteWhereTheBackgroundMayNot) {
    Words command = job({"-n", "2", "sh", "-c", "echo rank $RANK"});
    command.insert(command.begin(), {"sh", "-c", "stty tostop; exec \"$0\" \"$@\""});
    Terminal terminal(command);
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), "rank ").size(), 2u) << terminal.seen();
}

TEST_P(RankrunTerminal, RankZeroReadsWhatIsTyped) {
    Terminal terminal(job({"-n", "2", "sh", "-c", "read line; echo $RANK: $line"}));
    terminal.type("words\r");
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), label(0) + "0: words").size(), 1u) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), label(1) + "1:\r").size(), 1u) << terminal.seen();
}

TEST_P(RankrunTerminal, AnotherRankMayRead) {
    Terminal terminal(job({"-n", "2", "--stdin", "1", "sh", "-c", "read line; echo $RANK: $line"}));
    terminal.type("words\r");
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), label(1) + "1: words").size(), 1u) << terminal.seen();
}

TEST_P(RankrunTerminal, AllMayReadUntilCtrlD) {
    Terminal terminal(
        job({"-n", "2", "--stdin", "all", "sh", "-c", "while read line; do echo $RANK: $line; done; echo $RANK ends"}));
    terminal.type("one\r");
    ASSERT_TRUE(terminal.shows(": one") && terminal.shows(": one")) << terminal.seen();
    terminal.type("two\r");
    ASSERT_TRUE(terminal.shows(": two") && terminal.shows(": two")) << terminal.seen();
    terminal.type(Terminal::ctrl_d);
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), " ends").size(), 2u) << terminal.seen();
}

TEST_P(RankrunTerminal, CtrlZStopsThoseWhoReadToo) {
    Terminal terminal(
        job({"--grace", "1000", "-n", "2", "--stdin", "all", "sh", "-c", "echo ready; read line; echo $RANK: $line"}));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(terminal.shows("ready")) << terminal.seen();
    terminal.type(Terminal::ctrl_z);
    ASSERT_TRUE(terminal.stopped()) << terminal.seen();
    terminal.foreground();
    terminal.type("words\r");
    EXPECT_EQ(terminal.ended(), 0) << terminal.seen();
    EXPECT_EQ(subprocess::lines_with(terminal.seen(), ": words").size(), 2u) << terminal.seen();
}

INSTANTIATE_TEST_SUITE_P(Output, RankrunTerminal, testing::Bool(),
                         [](const auto& labels) { return labels.param ? "Labelled" : "Passed"; });

}  // namespace
