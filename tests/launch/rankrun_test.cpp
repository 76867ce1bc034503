// rankrun: what it starts, what the ranks find, what it returns. Ending a job has a file of its own.
#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>
#include <regex>

#include "launch/launches.hpp"

namespace {

using namespace launches;
// ---- options ----

TEST(RankrunOptions, EndAtTheProgramsName) {
    const auto result = rankrun({"-n", "2", "printf", "%s\\n", "-n", "5", "--help", "--"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"--", "--", "--help", "--help", "-n", "-n", "5", "5"}));
}

TEST(RankrunOptions, DashesEndThemToo) {
    const auto result = rankrun({"-n", "1", "--", "echo", "-n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(RankrunOptions, NumberOfRanksHasThreeSpellings) {
    for (const Words& spelling :
         {Words{"-n", "3"}, Words{"-n3"}, Words{"-np", "3"}, Words{"--ranks", "3"}, Words{"--ranks=3"}}) {
        Words words = spelling;
        words.insert(words.end(), {"sh", "-c", "echo $WORLD_SIZE"});
        const auto result = rankrun(words);
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), (Words{"3", "3", "3"})) << spelling.front();
    }
}

TEST(RankrunOptions, DefaultIsTheUsableCpus) {
    const auto three =
        rankrun({"sh", "-c", "echo $WORLD_SIZE"}, {.environment = {"RANKPOOL_CPU_COUNT=3", "SLURM_CPUS_PER_TASK"}});
    EXPECT_EQ(sorted_lines(three.out), (Words{"3", "3", "3"}));
    const auto given =
        rankrun({"sh", "-c", "echo $WORLD_SIZE"}, {.environment = {"RANKPOOL_CPU_COUNT=3", "SLURM_CPUS_PER_TASK=2"}});
    EXPECT_EQ(sorted_lines(given.out), (Words{"2", "2"}));
    const auto rubbish = rankrun({"true"}, {.environment = {"RANKPOOL_CPU_COUNT=many"}});
    EXPECT_EQ(rubbish.exit_code, 2);
    expect_one_line(rubbish, "rankrun:", "RANKPOOL_CPU_COUNT=\"many\"");
}

TEST(RankrunOptions, WrongUseIsTwoAndSaysWhy) {
    const struct {
        Words words;
        std::string says;
    } cases[] = {
        {{"-n", "0", "true"}, "-n 0"},
        {{"-n", "-1", "true"}, "-n -1"},
        {{"-n", "x", "true"}, "x"},
        {{"-np", "0", "true"}, "-n 0"},
        {{"-n"}, "ranks"},
        {{"-n", "2"}, "no program"},
        {{}, "no program"},
        {{"--frob", "true"}, "--frob"},
        {{"-n", "2", "-z", "true"}, "-z"},
        {{"--grace", "soon", "true"}, "soon"},
        {{"--grace", "-1", "true"}, "grace"},
        {{"-n", "2", "--"}, "no program"},
    };
    for (const auto& each : cases) {
        SCOPED_TRACE(testing::PrintToString(each.words));
        const auto result = rankrun(each.words);
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_EQ(result.out, "");
        expect_one_line(result, "rankrun:", each.says);
        EXPECT_EQ(sorted_lines(result.err).size(), 1u) << result.err;
    }
}

TEST(RankrunOptions, HelpAndVersion) {
    const auto help = rankrun({"--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.out.find("rankrun [options] program"), std::string::npos) << help.out;
    const auto version = rankrun({"--version"});
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_TRUE(std::regex_search(version.out, std::regex("^rankrun [0-9]+\\.[0-9]+\\.[0-9]+\n$"))) << version.out;
}

// ---- programs ----

TEST(RankrunPrograms, NotFoundIs127) {
    for (const std::string name : {"no-such-program-anywhere", "./no-such-program", "/no/such/program"}) {
        const auto result = rankrun({"-n", "3", name});
        EXPECT_EQ(result.exit_code, 127);
        expect_one_line(result, "rankrun:", name);
        EXPECT_EQ(sorted_lines(result.err).size(), 1u) << result.err;
    }
}

TEST(RankrunPrograms, HintForAFileHere) {
    const ScriptDirectory directory;
    directory.script("prog", "true\n");
    const auto result = rankrun({"-n", "2", "prog"}, {.directory = directory.text()});
    EXPECT_EQ(result.exit_code, 127);
    expect_one_line(result, "rankrun:", "./prog");
}

TEST(RankrunPrograms, NotExecutableIs126) {
    const ScriptDirectory directory;
    directory.write("text", "just text\n");
    const auto file = rankrun({"-n", "2", directory.path("text")});
    EXPECT_EQ(file.exit_code, 126);
    expect_one_line(file, "rankrun:", "not executable");
    const auto in_path = rankrun({"-n", "2", "text"}, {.environment = {"PATH=" + directory.text()}});
    EXPECT_EQ(in_path.exit_code, 126);
    expect_one_line(in_path, "rankrun:", "not executable");
    const auto folder = rankrun({"-n", "2", directory.text()});
    EXPECT_EQ(folder.exit_code, 126);
    expect_one_line(folder, "rankrun:", "directory");
    const auto nobody_interprets = directory.script("broken", "");
    std::ofstream(nobody_interprets) << "#!/no/such/interpreter\n";
    const auto broken = rankrun({"-n", "2", nobody_interprets});
    EXPECT_NE(broken.exit_code, 0);
    expect_one_line(broken, "rankrun:", "broken");
}

TEST(RankrunPrograms, FoundInPathAndBesideIt) {
    const ScriptDirectory directory;
    const auto script = directory.script("prog", "echo it is $0\n");
    const std::string path = "PATH=" + directory.text() + ":/usr/bin:/bin";
    EXPECT_EQ(rankrun({"-n", "1", "prog"}, {.environment = {path}}).out, "it is " + script + "\n");
    EXPECT_EQ(rankrun({"-n", "1", script}).out, "it is " + script + "\n");
    EXPECT_EQ(rankrun({"-n", "1", "./prog"}, {.directory = directory.text()}).out, "it is ./prog\n");
}

// ---- environment ----

TEST(RankrunEnvironment, EveryRankKnowsItsPlace) {
    const auto result = rankrun({"-n", "3", "sh", "-c", "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE"},
                                {.environment = {"RANK=7", "WORLD_SIZE=9", "LOCAL_RANK=7", "LOCAL_WORLD_SIZE=9"}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"0 3 0 3", "1 3 1 3", "2 3 2 3"}));
}

TEST(RankrunEnvironment, TheRestIsPassedOn) {
    const auto result =
        rankrun({"-n", "2", "sh", "-c", "echo \"$KEPT\"; pwd"}, {.environment = {"KEPT=a b=c"}, .directory = "/usr"});
    EXPECT_EQ(sorted_lines(result.out), (Words{"/usr", "/usr", "a b=c", "a b=c"}));
}

TEST(RankrunEnvironment, NoDescriptorsOfTheLaunchers) {
    const Words list{"sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; echo"};
    const auto here = subprocess::run(list);
    const auto there = rankrun({"-n", "1", list[0], list[1], list[2]});
    EXPECT_EQ(there.out, here.out);
}

TEST(RankrunEnvironment, SignalsAreAsTheyWere) {
    // Nothing blocked, nothing ignored, whatever the launcher needs for itself. Not through a shell: that clears its
    // mask.
    const Words show{"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"};
    const auto here = subprocess::run(show);
    const auto there = rankrun({"-n", "1", show[0], show[1], show[2], show[3]});
    EXPECT_EQ(there.out, here.out);
    // What somebody ignores is ignored by the ranks too.
    const Words ignore{"env", "--ignore-signal=PIPE", "--ignore-signal=HUP"};
    const auto run_so = [&](Words words) {
        words.insert(words.begin(), ignore.begin(), ignore.end());
        words.insert(words.end(), show.begin(), show.end());
        return subprocess::run(words).out;
    };
    EXPECT_EQ(run_so({programs().rankrun, "-n", "1"}), run_so({}));
}

// ---- exit codes ----

TEST(RankrunExitCodes, ZeroWhenAllAre) {
    const auto result = rankrun({"-n", "3", "true"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
}

TEST(RankrunExitCodes, OfTheFirstRankThatFails) {
    // The last to come fails; the others end with 4 when they are told to end.
    const ScriptDirectory directory;
    const auto result = rankrun({"-n", "3", programs().signals, directory.path("list"), "last-fails"});
    EXPECT_EQ(result.exit_code, 3) << result.err;
    EXPECT_EQ(subprocess::lines_with(result.out, "heard SIGTERM").size(), 2u) << result.out;
}

TEST(RankrunExitCodes, LineNamesRankHostPidAndWhy) {
    const auto result = rankrun({"-n", "3", "sh", "-c", "[ $RANK = 1 ] || exec sleep 1000; echo $$; exit 5"});
    EXPECT_EQ(result.exit_code, 5) << result.err;
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    const std::string pid = sorted_lines(result.out).at(0);
    const auto lines = sorted_lines(result.err);
    ASSERT_EQ(lines.size(), 1u) << result.err;
    EXPECT_EQ(lines[0], "rankrun: rank 1 (pid " + pid + " on " + host + ") exited with code 5; ending the other ranks");
}

TEST(RankrunExitCodes, NobodyElseIsLeftToEnd) {
    const auto result = rankrun({"-n", "1", "sh", "-c", "exit 5"});
    EXPECT_EQ(result.exit_code, 5);
    expect_one_line(result, "rankrun: rank 0 (pid ", ") exited with code 5");
    EXPECT_EQ(result.err.find("other ranks"), std::string::npos) << result.err;
}

TEST(RankrunExitCodes, OfASignalIs128AndItsNumber) {
    const struct {
        std::string name;
        int number;
    } signals[] = {{"SEGV", 11}, {"KILL", 9}, {"TERM", 15}, {"ABRT", 6}};
    for (const auto& signal : signals) {
        const auto result = rankrun(
            {"-n", "2", "sh", "-c", "ulimit -c 0; [ $RANK = 1 ] || exec sleep 1000; kill -" + signal.name + " $$"});
        EXPECT_EQ(result.exit_code, 128 + signal.number) << result.err;
        expect_one_line(result, "rankrun: rank 1 (pid ",
                        "was killed by signal " + std::to_string(signal.number) + " (SIG" + signal.name + ")");
    }
}

TEST(RankrunExitCodes, ARankThatEndsWithZeroEndsNobody) {
    const ScriptDirectory directory;
    Bell bell(directory.path("bell"));
    // rank 1 waits, by reading, for what rank 0 writes at its very end.
    const auto result = rankrun({"-n", "2", "sh", "-c",
                                 "[ $RANK = 0 ] && { echo over >" + directory.path("bell") +
                                     "; exit 0; }; read word <" + directory.path("bell") + "; echo $word"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "over\n");
}

// ---- streams ----

TEST(RankrunStreams, StandardInputGoesToRankZero) {
    const auto result = rankrun({"-n", "3", "sh", "-c", "while read line; do echo $RANK: $line; done; echo $RANK: end"},
                                {.input = "one\ntwo\n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"0: end", "0: one", "0: two", "1: end", "2: end"}));
    // Not a matter of who reads first: the others have another standard input.
    const auto others = rankrun({"-n", "3", "sh", "-c", "[ $RANK = 0 ] || readlink /proc/self/fd/0"});
    EXPECT_EQ(sorted_lines(others.out), (Words{"/dev/null", "/dev/null"}));
}

TEST(RankrunStreams, WhatNobodyReadsIsLeftForTheNextProgram) {
    // The launcher itself reads nothing: a loop over input lines that starts jobs sees all of them.
    const auto result =
        subprocess::run({"sh", "-c", "while read line; do \"$0\" -n 2 true; echo $line; done", programs().rankrun},
                        {.input = "one\ntwo\nthree\n"});
    EXPECT_EQ(result.out, "one\ntwo\nthree\n");
}

TEST(RankrunStreams, OutputPassesThrough) {
    const auto result = rankrun({"-n", "2", "sh", "-c", "echo out $RANK; echo err $RANK >&2"});
    EXPECT_EQ(sorted_lines(result.out), (Words{"out 0", "out 1"}));
    EXPECT_EQ(sorted_lines(result.err), (Words{"err 0", "err 1"}));
    EXPECT_EQ(rankrun({"-n", "1", "printf", "no newline"}).out, "no newline");
}

TEST(RankrunStreams, ClosedOnesAreNoError) {
    const auto result =
        subprocess::run({"sh", "-c", "\"$0\" -n 2 \"$1\" <&- >&- 2>&-; echo $?", programs().rankrun, programs().ranks});
    EXPECT_EQ(result.out, "0\n");
    EXPECT_EQ(result.left_behind, Words());
}

TEST(RankrunStreams, RankZeroHasTheTerminal) {
    // Reading from a terminal, only its foreground group is not stopped.
    const auto result = subprocess::run(
        {"script", "-qec", programs().rankrun + " -n 2 sh -c 'read line; echo $RANK: $line'", "/dev/null"},
        {.input = "typed\n", .limit = std::chrono::seconds(20)});
    EXPECT_EQ(result.exit_code, 0) << result.out;
    EXPECT_FALSE(result.timed_out);
    EXPECT_NE(result.out.find("0: typed"), std::string::npos) << result.out;
}

// ---- jobs of rankpool programs ----

TEST(RankrunJobs, WrapperScriptChangesNothing) {
    const ScriptDirectory directory;
    const auto wrapper = directory.script("wrapper", "echo wrapped\n\"$@\"\nexit $?\n");
    const auto result = rankrun({"-n", "2", wrapper, programs().ranks});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"rank 0 of 2", "rank 1 of 2", "wrapped", "wrapped"}));
}

TEST(RankrunJobs, OneInAnother) {
    const auto result = rankrun({"-n", "2", programs().rankrun, "-n", "3", programs().ranks});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    Words lines = all_ranks(3);
    for (const auto& line : all_ranks(3)) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    EXPECT_EQ(sorted_lines(result.out), lines);
}

TEST(RankrunJobs, OneStartedByARankOfAnother) {
    const auto result =
        rankrun({"-n", "2", programs().ranks, "system", programs().rankrun + " -n 3 " + programs().ranks});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    Words lines = all_ranks(2);
    for (const auto& line : all_ranks(3)) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    EXPECT_EQ(sorted_lines(result.out), lines);
}

TEST(RankrunJobs, StaleVariablesInAShellMeanNothing) {
    const auto result = subprocess::run(
        {programs().ranks}, {.environment = {"RANKPOOL_JOB=rankrun.1.0123456789abcdef0123456789abcdef",
                                             "RANKPOOL_RANK=1", "RANKPOOL_SIZE=4", "RANK=1", "WORLD_SIZE=4"}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "rank 0 of 1\n");
}

TEST(RankrunJobs, ASecondProgramInARankIsToldWhyNot) {
    const ScriptDirectory directory;
    const auto wrapper = directory.script("both", "\"$1\" && \"$1\"\n");
    const auto result = rankrun({"-n", "2", wrapper, programs().ranks});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(2));  // the first program's
    expect_one_line(result, "rankpool:", "a rank can run one rankpool program");
}

TEST(RankrunJobs, AnotherBuildIsToldSo) {
    const ScriptDirectory directory;
    for (const std::string odd : {"0", "1"}) {
        const auto wrapper =
            directory.script("either", "if [ $RANK = " + odd + " ]; then exec " + programs().ranks_other_build +
                                           "; else exec " + programs().ranks + "; fi\n");
        const auto result = rankrun({"-n", "3", wrapper});
        EXPECT_EQ(result.exit_code, 1) << result.err;
        expect_one_line(result, "rankpool:", "another build of the program");
    }
}

TEST(RankrunJobs, AProgramThatDoesNotJoinIsNotWaitedFor) {
    // Plain programs and rankpool ones side by side: nothing hangs, the exit code is that of the one that complains.
    const ScriptDirectory directory;
    const auto wrapper = directory.script("either", "[ $RANK = 1 ] && exec true; exec " + programs().ranks + "\n");
    const auto result = rankrun({"-n", "2", wrapper}, {.limit = std::chrono::seconds(20)});
    EXPECT_NE(result.exit_code, 0);
    expect_one_line(result, "rankpool:", "rank 1");
}

}  // namespace
