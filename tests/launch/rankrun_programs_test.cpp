// rankrun: several programs in one job, their variables and directories.
#include <gtest/gtest.h>

#include "launch/launches.hpp"

namespace {

using namespace launches;

// ---- several programs ----

TEST(RankrunSeveralPrograms, AreOneJob) {
    const std::string say = "echo $0 $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE";
    const auto result = rankrun(
        {"-n", "1", "sh", "-c", say, "A", ":", "-n", "2", "sh", "-c", say, "B", ":", "-np", "1", "sh", "-c", say, "C"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"A 0 4 0 4", "B 1 4 1 4", "B 2 4 2 4", "C 3 4 3 4"}));
}

TEST(RankrunSeveralPrograms, MeetWhenTheyAreOfOneBuild) {
    const auto result = rankrun({"-n", "1", programs().ranks, ":", "-n", "2", programs().ranks});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(3));
}

TEST(RankrunSeveralPrograms, OneThatFailsEndsTheOthers) {
    const auto result = rankrun({"-n", "1", "sleep", "1000", ":", "-n", "1", "sh", "-c", "exit 3"});
    EXPECT_EQ(result.exit_code, 3);
    expect_one_line(result, "rankrun: rank 1 (pid ", "exited with code 3");
}

TEST(RankrunSeveralPrograms, ColonsBehindDashesAreTheProgramsOwn) {
    const auto result = rankrun({"-n", "1", "--", "echo", "a", ":", "b"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "a : b\n");
}

TEST(RankrunSeveralPrograms, WrongUseSaysWhy) {
    const struct {
        Words words;
        std::string says;
    } cases[] = {
        {{"-n", "1", "true", ":"}, "no program given behind the last `:`"},
        {{"-n", "1", "true", ":", "-n", "1"}, "no program given"},
        {{"-n", "1", ":", "-n", "1", "true"}, "no program given"},
        {{"-n", "1", "true", ":", "true"}, "true: with several programs each needs its -n"},
        {{"true", ":", "-n", "1", "true"}, "true: with several programs each needs its -n"},
        {{"-n", "1", "true", ":", "-n", "0", "true"}, "-n 0"},
        {{"-n", "1", "true", ":", "--label", "-n", "1", "true"}, "--label: no such option here"},
    };
    for (const auto& each : cases) {
        SCOPED_TRACE(testing::PrintToString(each.words));
        const auto result = rankrun(each.words);
        EXPECT_EQ(result.exit_code, 2);
        expect_one_line(result, "rankrun:", each.says);
    }
    const auto absent = rankrun({"-n", "1", "touch", "/started", ":", "-n", "1", "no-such-program"});
    EXPECT_EQ(absent.exit_code, 127);
    expect_one_line(absent, "rankrun:", "no-such-program");
}

// ---- variables ----

TEST(RankrunVariables, AreSetForTheProgramBehindThem) {
    const auto result =
        rankrun({"-x", "A=1 2=3", "-x", "B=", "-n", "1", "sh", "-c", "echo $RANK \"${A-none}\" \"${B-none}\"", ":",
                 "-n", "1", "-x", "A=other", "sh", "-c", "echo $RANK \"${A-none}\" \"${B-none}\""},
                {.environment = {"A", "B"}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"0 1 2=3 ", "1 other none"}));
}

TEST(RankrunVariables, ANameAloneHandsOursOn) {
    const Words command{"-x", "A", "-n", "1", "sh", "-c", "echo ${A-none}"};
    const auto given = rankrun(command, {.environment = {"A=ours"}});
    EXPECT_EQ(given.out, "ours\n");
    EXPECT_EQ(given.err, "");
    const auto absent = rankrun(command, {.environment = {"A"}});
    EXPECT_EQ(absent.exit_code, 0);
    EXPECT_EQ(absent.out, "none\n");
    expect_one_line(absent, "rankrun: -x A:", "no such variable");
}

TEST(RankrunVariables, WrongOnesAreRefused) {
    for (const std::string variable : {"=value", "", "RANK=3", "WORLD_SIZE", "RANKPOOL_JOB=x", "RANKPOOL_RESTARTS=1"}) {
        const auto result = rankrun({"-n", "1", "-x", variable, "true"});
        EXPECT_EQ(result.exit_code, 2) << variable;
        expect_one_line(result, "rankrun:", "-x " + variable);
    }
}

// ---- directories ----

TEST(RankrunDirectory, IsWhereTheProgramStarts) {
    const ScriptDirectory directory;
    directory.script("sub/where", "echo $0 $(pwd)\n");
    const std::string sub = directory.path("sub");
    const auto result =
        rankrun({"-n", "1", "--wdir", "sub", "pwd", ":", "-n", "1", "pwd"}, {.directory = directory.text()});
    EXPECT_EQ(sorted_lines(result.out), (Words{directory.text(), sub})) << result.err;
    // A way to the program begins there too, as after a cd.
    EXPECT_EQ(rankrun({"-n", "1", "--wdir", "sub", "./where"}, {.directory = directory.text()}).out,
              "./where " + sub + "\n");
    EXPECT_EQ(rankrun({"-n", "1", "--wdir", "sub", "where"},
                      {.environment = {"PATH=sub:/usr/bin:/bin"}, .directory = directory.text()})
                  .out,
              sub + "/where " + sub + "\n");
}

TEST(RankrunDirectory, ThatIsNoneIsRefused) {
    const ScriptDirectory directory;
    directory.script("here", "true\n");
    std::filesystem::create_directory(directory.path("sub"));
    const auto absent = rankrun({"-n", "1", "--wdir", directory.path("absent"), "true"});
    EXPECT_EQ(absent.exit_code, 2);
    expect_one_line(absent, "rankrun: --wdir " + directory.path("absent"), "no such directory");
    const auto file = rankrun({"-n", "1", "--wdir", directory.path("here"), "true"});
    EXPECT_EQ(file.exit_code, 2);
    expect_one_line(file, "rankrun: --wdir " + directory.path("here"), "no directory");
    const auto elsewhere = rankrun({"-n", "1", "--wdir", "sub", "./here"}, {.directory = directory.text()});
    EXPECT_EQ(elsewhere.exit_code, 127);
    expect_one_line(elsewhere, "rankrun: ./here:", "where --wdir starts it");
}

}  // namespace
