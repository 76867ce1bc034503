// rankrun: labelled lines, and output into files.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

// Every line is one line of one rank, and each rank's lines are all there, in their order, on each stream.
void expect_whole_lines(const std::string& text, int ranks, int lines, int streams) {
    std::map<int, std::vector<int>> seen;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        int label = -1, rank = -1, number = -1, length = 0;
        ASSERT_EQ(std::sscanf(line.c_str(), "[%d] rank %d line %d %n", &label, &rank, &number, &length), 3)
            << line.substr(0, 80);
        EXPECT_EQ(label, rank);
        EXPECT_EQ(line.find_first_not_of(static_cast<char>('a' + rank), static_cast<std::size_t>(length)),
                  std::string::npos)
            << line.substr(0, 80);
        seen[rank].push_back(number);
    }
    ASSERT_EQ(seen.size(), static_cast<std::size_t>(ranks));
    for (auto& [rank, numbers] : seen) {
        ASSERT_EQ(numbers.size(), static_cast<std::size_t>(lines * streams)) << "rank " << rank;
        if (streams > 1) std::sort(numbers.begin(), numbers.end());
        for (int i = 0; i < lines * streams; ++i)
            EXPECT_EQ(numbers[static_cast<std::size_t>(i)], i / streams) << "rank " << rank;
    }
}

TEST(RankrunLabels, SayWhoseALineIs) {
    for (const std::string option : {"-l", "--label"}) {
        const auto result = rankrun({"-n", "2", option, "sh", "-c", "echo out; echo; echo err >&2"});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), (Words{"[0] ", "[0] out", "[1] ", "[1] out"}));
        EXPECT_EQ(sorted_lines(result.err), (Words{"[0] err", "[1] err"}));
    }
}

TEST(RankrunLabels, TimeFollowsTheLabel) {
    const auto result = rankrun({"-n", "2", "--timestamp", "echo", "words"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto lines = sorted_lines(result.out);
    ASSERT_EQ(lines.size(), 2u) << result.out;
    for (int rank = 0; rank < 2; ++rank)
        EXPECT_TRUE(std::regex_match(
            lines[static_cast<std::size_t>(rank)],
            std::regex("\\[" + std::to_string(rank) + "\\] \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3} words")))
            << result.out;
}

TEST(RankrunLabels, LinesAreWholeAtAnySpeed) {
    const auto result = rankrun({"-n", "4", "-l", programs().streams, "torrent", "800"});
    EXPECT_EQ(result.exit_code, 0);
    expect_whole_lines(result.out, 4, 800, 1);
    expect_whole_lines(result.err, 4, 800, 1);
}

TEST(RankrunLabels, LinesAreWholeWhereBothStreamsAreOne) {
    const auto result = subprocess::run(
        {"sh", "-c", "exec \"$0\" -n 3 -l \"$1\" torrent 400 2>&1", programs().rankrun, programs().streams});
    EXPECT_EQ(result.exit_code, 0);
    expect_whole_lines(result.out, 3, 400, 2);
}

TEST(RankrunLabels, ALineWithoutItsEndIsOneLine) {
    const auto result = rankrun({"-n", "3", "-l", programs().streams, "bytes", "100000"});
    EXPECT_EQ(result.exit_code, 0);
    const std::string line(100000, 'x');
    EXPECT_TRUE(sorted_lines(result.out) == (Words{"[0] " + line, "[1] " + line, "[2] " + line})) << result.out.size();
}

TEST(RankrunLabels, LastWordsOfARankThatIsKilledAreNotLost) {
    const auto result = subprocess::run(
        {"sh", "-c", "exec \"$0\" -n 1 -l \"$1\" last-words goodbye 2>&1", programs().rankrun, programs().streams});
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    // The launcher's own line comes behind them and has no label.
    const std::string beginning = "[0] goodbye\n[0] goodbye\nrankrun: rank 0 (pid ";
    EXPECT_EQ(result.out.substr(0, beginning.size()), beginning);
}

TEST(RankrunLabels, WhatARankLeavesInTheBackgroundHoldsNothingUp) {
    const auto result = rankrun({"-n", "2", "-l", "sh", "-c", "sleep 1000 & echo done"}, {.limit = 30s});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(sorted_lines(result.out), (Words{"[0] done", "[1] done"}));
}

TEST(RankrunLabels, ARankSeesThatItsReaderIsGone) {
    // As without labels: SIGPIPE, and the job is over.
    const auto result = subprocess::run(
        {"bash", "-c", "\"$0\" -n 2 -l yes | head -n 1; echo ${PIPESTATUS[0]}", programs().rankrun}, {.limit = 30s});
    EXPECT_FALSE(result.timed_out);
    const auto lines = sorted_lines(result.out);
    ASSERT_EQ(lines.size(), 2u) << result.out;
    EXPECT_EQ(lines[0], std::to_string(128 + SIGPIPE));
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunLabels, AReaderThatDoesNotReadCannotHoldTheJob) {
    const ScriptDirectory directory;
    Bell unread(directory.path("pipe"));
    const int pipe = open(directory.path("pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const auto result = subprocess::run(
        {"sh", "-c", "echo begin; exec \"$0\" --grace 1000 -n 2 -l yes >\"$1\"", programs().rankrun,
         directory.path("pipe")},
        {.limit = 30s, .when_printed = "begin", .then = [&](pid_t launcher) {
             int bytes = 0;
             EXPECT_TRUE(comes_true([&] { return ioctl(pipe, FIONREAD, &bytes) == 0 && bytes >= 60000; }));
             const pid_t rank = rank_of(launcher, 1);
             send(launcher, SIGINT);
             EXPECT_TRUE(comes_true([&] { return state_of(rank) == '-'; }));  // at once: nobody waits for the reader
             EXPECT_NE(state_of(launcher), '-');                              // except for what they wrote
             send(launcher, SIGINT);
         }});
    close(pipe);
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 128 + SIGINT) << result.err;
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunLabels, AReaderThatDoesNotReadDoesNotSurviveASecondInterrupt) {
    const ScriptDirectory directory;
    Bell unread(directory.path("pipe")), heard(directory.path("bell"));
    const int pipe = open(directory.path("pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const std::string rank = "[ $RANK = 0 ] && { trap '' INT; exec yes; }; exec \"$0\" \"$@\"";
    const auto result = subprocess::run(
        {"sh", "-c", "echo begin; out=$1; shift; exec \"$0\" --grace 1000 -n 2 -l \"$@\" >\"$out\"", programs().rankrun,
         directory.path("pipe"), "sh", "-c", rank, programs().signals, directory.path("list"), "deaf",
         directory.path("bell")},
        {.limit = 30s, .when_printed = "begin", .then = [&](pid_t launcher) {
             int bytes = 0;
             EXPECT_TRUE(comes_true([&] { return ioctl(pipe, FIONREAD, &bytes) == 0 && bytes >= 60000; }));
             EXPECT_TRUE(comes_true([&] { return std::filesystem::exists(directory.path("list")); }));
             send(launcher, SIGINT);
             EXPECT_TRUE(heard.heard());
             send(launcher, SIGINT);
         }});
    close(pipe);
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 128 + SIGKILL) << result.err;
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunLabels, WhatCannotBeWrittenIsAnError) {
    const auto result = subprocess::run({"sh", "-c", "exec \"$0\" -n 1 -l echo words >/dev/full", programs().rankrun});
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(lines_from(result.err, "rankrun: write(the ranks' output): No space left").size(), 1u) << result.err;
}

TEST(RankrunLabels, EndWithRankrun) {
    const auto result =
        rankrun({"-n", "2", "-l", "sh", "-c", "echo ready; exec sleep 1000"},
                {.limit = 30s, .when_printed = "[1] ready", .then = [](pid_t launcher) { send(launcher, SIGKILL); }});
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

// ---- files ----

TEST(RankrunFiles, OneForEachStreamOfEachRank) {
    const ScriptDirectory directory;
    for (const std::string option : {"-o", "--output-dir"}) {
        const auto result = rankrun({"-n", "2", option, "new/place", "sh", "-c", "echo out $RANK; echo err $RANK >&2"},
                                    {.directory = directory.text()});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(result.out + result.err, "");
        for (const std::string rank : {"0", "1"}) {
            const fs::path place = directory.path("new/place/rank." + rank);
            EXPECT_EQ(text_of(place / "stdout"),
                      "out " + rank + "\n");  // the second job's: the first one's is replaced
            EXPECT_EQ(text_of(place / "stderr"), "err " + rank + "\n");
        }
    }
}

TEST(RankrunFiles, LinesGetTheirLabelsThereToo) {
    const ScriptDirectory directory;
    const auto result = rankrun({"-n", "3", "-l", "-o", directory.text(), programs().streams, "torrent", "300"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out + result.err, "");
    std::string all;
    for (const std::string rank : {"0", "1", "2"}) all += text_of(directory.path("rank." + rank + "/stdout"));
    expect_whole_lines(all, 3, 300, 1);
}

TEST(RankrunFiles, ADirectoryThatCannotBeMadeIsSaidAndNothingStarts) {
    const ScriptDirectory directory;
    directory.write("file", "");
    const auto result = rankrun({"-n", "2", "-o", directory.path("file"), "touch", directory.path("started")});
    EXPECT_EQ(result.exit_code, 1);
    expect_one_line(result, "rankrun:", "Not a directory");
    EXPECT_FALSE(fs::exists(directory.path("started")));
}

TEST(RankrunFiles, ManyRanksNeedMoreDescriptorsThanAShellGives) {
    const auto result =
        subprocess::run({"sh", "-c", "ulimit -S -n 64; exec \"$0\" -n 60 -l sh -c 'ulimit -S -n'", programs().rankrun});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto lines = sorted_lines(result.out);
    ASSERT_EQ(lines.size(), 60u);
    for (const auto& line : lines) EXPECT_EQ(line.substr(line.find(' ')), " 64");  // theirs is as it was
}

}  // namespace
