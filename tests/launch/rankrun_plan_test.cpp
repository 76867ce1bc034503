// rankrun: the plan and what is said about it, pinning to cores, what the machine offers.
#include <gtest/gtest.h>

#include <dlfcn.h>

#include <cstdio>
#include <filesystem>
#include <regex>

#include "launch/launches.hpp"

namespace {

using namespace launches;

// ---- --dry-run, --verbose ----

TEST(RankrunPlan, DryRunShowsItAndStartsNothing) {
    const ScriptDirectory directory;
    const auto result = rankrun({"--dry-run", "-n", "2", "-x", "A=it's", "touch", directory.path("started"), ":", "-n",
                                 "1", "--wdir", "/usr", "echo", ""});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string touch = "A='it'\\''s' touch " + directory.path("started") + "\n";
    EXPECT_EQ(result.out, "rank 0: " + touch + "rank 1: " + touch +
                              "rank 2: cd /usr && echo ''\n# 3 ranks on this machine; standard input to rank 0\n");
    EXPECT_FALSE(std::filesystem::exists(directory.path("started")));
}

TEST(RankrunPlan, DryRunFindsTheProgramsToo) { EXPECT_EQ(rankrun({"--dry-run", "no-such-program"}).exit_code, 127); }

TEST(RankrunPlan, VerboseShowsItAndTheProcesses) {
    const auto result = rankrun({"--verbose", "-n", "2", "--timeout", "100", "sh", "-c", "echo $RANK $$"});
    EXPECT_EQ(result.exit_code, 0);
    for (const std::string& line : sorted_lines(result.out))
        EXPECT_EQ(lines_from(result.err, "rankrun: rank " + line.substr(0, 1) + " is pid " + line.substr(2)).size(), 1u)
            << result.err;
    EXPECT_EQ(lines_from(result.err, "rank 1: sh -c 'echo $RANK $$'").size(), 1u) << result.err;
    EXPECT_EQ(lines_from(result.err, "# ends after 100 s").size(), 1u) << result.err;
}

// ---- more ranks than CPUs ----

TEST(RankrunPlan, MoreRanksThanCpusAreSaidToWhoeverLooksOn) {
    const subprocess::Options two_cpus{.environment = {"RANKPOOL_CPU_COUNT=2"}};
    EXPECT_EQ(rankrun({"-n", "3", "true"}, two_cpus).err, "");
    EXPECT_EQ(lines_from(rankrun({"--verbose", "-n", "2", "true"}, two_cpus).err, "rankrun: note").size(), 0u);
    const auto asked = rankrun({"--verbose", "-n", "3", "true"}, two_cpus);
    EXPECT_EQ(asked.exit_code, 0);
    expect_one_line(asked, "rankrun: note", "3 ranks share 2 usable CPUs");
    const auto terminal = subprocess::run({"script", "-qec", programs().rankrun + " -n 3 true", "/dev/null"}, two_cpus);
    EXPECT_EQ(terminal.exit_code, 0);
    EXPECT_EQ(subprocess::lines_with(terminal.out, "3 ranks share 2 usable CPUs").size(), 1u) << terminal.out;
}

TEST(RankrunPlan, AnyNumberOfRanksStarts) {
    const auto result = rankrun({"-n", "300", "sh", "-c", "echo $RANK"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out).size(), 300u);
}

// ---- --bind, --report-bindings ----

// On a machine of the given shape, which only the plan can be made for.
Words planned_bindings(const std::string& machine, int ranks) {
    const auto result = rankrun({"--dry-run", "--bind", "core", "-n", std::to_string(ranks), "true"},
                                {.environment = {"HWLOC_SYNTHETIC=" + machine, "RANKPOOL_CPU_COUNT=16"}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return lines_from(result.out, "rank ");
}

TEST(RankrunBindings, ACoreForEachRank) {
    EXPECT_EQ(planned_bindings("package:2 core:2 pu:2", 3),
              (Words{"rank 0: true  # is bound to core 0 (CPUs 0-1)", "rank 1: true  # is bound to core 1 (CPUs 2-3)",
                     "rank 2: true  # is bound to core 2 (CPUs 4-5)"}));
}

TEST(RankrunBindings, ACpuForEachWhereCoresAreTooFew) {
    EXPECT_EQ(planned_bindings("core:2 pu:2", 3), (Words{"rank 0: true  # is bound to hardware thread 0 (CPU 0)",
                                                         "rank 1: true  # is bound to hardware thread 1 (CPU 1)",
                                                         "rank 2: true  # is bound to hardware thread 2 (CPU 2)"}));
}

// The CPUs that a process may use.
const Words show_cpus{"sh", "-c", "echo $RANK $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"};

std::string cpus_here() {
    const std::string out = subprocess::run(show_cpus).out;
    return out.substr(out.find_first_of("0123456789"), out.find('\n') - out.find_first_of("0123456789"));
}

TEST(RankrunBindings, RanksReallyAreWhereTheyAreSaidToBe) {
    Words words{"--bind", "core", "--report-bindings", "-n", "1"};
    words.insert(words.end(), show_cpus.begin(), show_cpus.end());
    const auto result = rankrun(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::smatch cpus;
    ASSERT_TRUE(std::regex_search(result.out, cpus, std::regex("^0 ([0-9,-]+)\n"))) << result.out;
    EXPECT_TRUE(std::regex_search(
        result.err,
        std::regex("rankrun: rank 0 is bound to (core|hardware thread) [0-9]+ \\(CPUs? " + cpus[1].str() + "\\)\n")))
        << result.err;
}

TEST(RankrunBindings, OnlyInsideTheMaskAndNeverWhenRanksOutnumberCpus) {
    const std::string all = cpus_here(), last = all.substr(all.find_last_of(",-") + 1);
    for (const int ranks : {1, 2}) {
        Words words{"taskset",           "-c",     last,
                    programs().rankrun,  "--bind", "core",
                    "--report-bindings", "-n",     std::to_string(ranks)};
        words.insert(words.end(), show_cpus.begin(), show_cpus.end());
        const auto result = subprocess::run(words);
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), ranks == 1 ? (Words{"0 " + last}) : (Words{"0 " + last, "1 " + last}));
        EXPECT_EQ(lines_from(result.err, ranks == 1 ? "rankrun: rank 0 is bound to "
                                                    : "rankrun: rank 0 is not bound (CPU " + last + ")")
                      .size(),
                  1u)
            << result.err;
        EXPECT_EQ(subprocess::lines_with(result.err, "they are not bound to cores").size(), ranks == 1 ? 0u : 1u)
            << result.err;
    }
}

TEST(RankrunBindings, HoldForTheRanksWorkers) {
    Words words{"--bind", "core", "-n", "2"};
    words.insert(words.end(), show_cpus.begin(), show_cpus.end());
    const auto ranks = rankrun(words);
    const auto workers = rankrun({"--bind", "core", "-n", "2", programs().workers, "4", "leaders"});
    const Words cpus = sorted_lines(ranks.out);
    ASSERT_EQ(cpus.size(), 2u) << ranks.err;
    const std::string first = cpus[0].substr(2), second = cpus[1].substr(2);  // "rank list"
    EXPECT_EQ(workers.exit_code, 0) << workers.err;
    EXPECT_EQ(lines_from(workers.out, "main: CPUs"), Words{"main: CPUs " + first + " " + first + " " + second + " " + second}) << workers.out;
}

TEST(RankrunBindings, NoneIsTheDefault) {
    for (const Words& option : {Words{}, Words{"--bind", "none"}}) {
        Words words = option;
        words.insert(words.end(), {"-n", "1"});
        words.insert(words.end(), show_cpus.begin(), show_cpus.end());
        EXPECT_EQ(rankrun(words).out, "0 " + cpus_here() + "\n");
    }
    const auto wrong = rankrun({"--bind", "socket", "true"});
    EXPECT_EQ(wrong.exit_code, 2);
    expect_one_line(wrong, "rankrun: --bind socket", "core, none");
}

// ---- --info ----

TEST(RankrunInfo, TellsWhatTheMachineOffers) {
    const auto result =
        rankrun({"--info"}, {.environment = {"RANKPOOL_CPU_COUNT=3", "SLURM_JOB_ID=77", "SLURM_JOB_NUM_NODES=2"}});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(lines_from(result.out, "CPUs: 3 usable of ").size(), 1u) << result.out;
    EXPECT_TRUE(std::regex_search(result.out, std::regex("\nmemory: [0-9.]+ GiB available of [0-9.]+ GiB")))
        << result.out;
    EXPECT_TRUE(std::regex_search(result.out, std::regex("\nsingle copy: (yes|no, .*process_vm_readv: .+)\n")))
        << result.out;
    const auto modules = lines_from(result.out, "MPI modules: ");
    ASSERT_EQ(modules.size(), 1u);
    for (const std::string& mpi : mpis())
        EXPECT_TRUE(std::regex_search(modules[0], std::regex(mpi + " \\([^)]+\\) works"))) << modules[0];
    if (mpis().empty()) {
        EXPECT_EQ(modules[0], "MPI modules: none found");
    }
    EXPECT_EQ(lines_from(result.out, "Slurm: job 77, 2 nodes").size(), 1u) << result.out;
}

TEST(RankrunInfo, ALibraryThatIsNoModuleDoesNotWork) {
    // An installation beside another one, with something else in the module's place.
    const ScriptDirectory directory;
    std::filesystem::create_directory(directory.path("bin"));
    std::filesystem::create_directory(directory.path("lib"));
    std::filesystem::copy_file(programs().rankrun, directory.path("bin/rankrun"));
    Dl_info other{};
    ASSERT_NE(dladdr(reinterpret_cast<const void*>(&std::fputs), &other), 0);
    for (const std::string& mpi : mpis())
        std::filesystem::copy_file(other.dli_fname, directory.path("lib/librankpool_mpi_" + mpi + ".so"));
    const auto result = subprocess::run({directory.path("bin/rankrun"), "--info"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    for (const std::string& mpi : mpis())
        EXPECT_TRUE(
            std::regex_search(result.out, std::regex(mpi + " \\([^)]+\\) does not work: .* is not an MPI module")))
            << result.out;
}

TEST(RankrunInfo, StartsNothing) {
    for (const Words& words : {Words{"--info", "true"}, Words{"--info", "--timeout", "-5"}, Words{"-n", "2", "--info"},
                               Words{"--label", "--info"}, Words{"--info", "--no-such-option"}}) {
        const auto result = rankrun(words);
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_EQ(result.out, "");
        EXPECT_EQ(lines_from(result.err, "rankrun: --").size(), 1u) << result.err;
    }
}

TEST(RankrunPlan, WhatCannotBeShownIsAnError) {
    for (const std::string words : {"--info", "--help", "--version", "--dry-run true"}) {
        const auto result = subprocess::run({"sh", "-c", "\"$0\" " + words + " >/dev/full", programs().rankrun});
        EXPECT_EQ(result.exit_code, 1) << words;
        expect_one_line(result, "rankrun: write(standard output): ", "No space left");
    }
}

}  // namespace
