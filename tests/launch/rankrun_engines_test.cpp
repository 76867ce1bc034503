// rankrun: handing a job to mpirun or srun. Their command lines are looked at with programs in their place that say
// which version they are; those of this machine really run.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

// A directory to be first in PATH, with engines that only say who they are.
class Pretended : public ScriptDirectory {
  public:
    void mpirun(const std::string& version) const {
        script("mpirun", "[ \"$1\" = --version ] && echo '" + version + "'\n");
    }
    void srun(const std::string& types) const {
        script("srun", "[ \"$1\" = --mpi=list ] && echo 'MPI plugin types are... " + types + "' >&2\n");
    }

    // The environment of a job: no Slurm but what `more` says.
    Words environment(const Words& more = {}) const {
        Words all{"PATH=" + text() + ":/usr/bin:/bin", "RANKPOOL_CPU_COUNT=4"};
        for (const char* name :
             {"SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "SLURM_NNODES", "SLURM_STEP_ID", "SLURM_CPUS_PER_TASK",
              "SLURM_JOB_CPUS_PER_NODE", "SLURM_MPI_TYPE", "SLURM_STEP_NUM_TASKS"})
            all.push_back(name);
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    Result plan(Words words, const Words& more = {}) const {
        words.insert(words.begin(), "--dry-run");
        return rankrun(words, {.environment = environment(more)});
    }
    // The engine's command line, without what root needs and the shell that names a rank's place.
    std::string line(const Words& words, const Words& more = {}) const {
        const auto result = plan(words, more);
        EXPECT_EQ(result.exit_code, 0) << result.err;
        std::string line = result.out.substr(0, result.out.find('\n'));
        EXPECT_EQ(line.size() + 1, result.out.size()) << result.out;
        const std::string as_root = " --allow-run-as-root";
        if (const auto at = line.find(as_root); at != std::string::npos) line.erase(at, as_root.size());
        return std::regex_replace(line, std::regex(" sh -c 'export RANK=[^']*' rankrun"), "");
    }
};

const Words everything{"--via",   "mpirun", "-n",     "2",       "-x",
                       "A=b c",   "--wdir", "/tmp",   "--label", "--timestamp",
                       "--stdin", "1",      "--bind", "core",    "--report-bindings",
                       "--grace", "2.5",    "true",   "x",       ":",
                       "-n",      "1",      "-x",     "C=",      "false"};

TEST(RankrunEngines, OpenMpi4) {
    const Pretended pretended;
    pretended.mpirun("mpirun (Open MPI) 4.1.4");
    EXPECT_EQ(pretended.line({"--via", "mpirun", "-n", "9", "--bind", "core", "true"}),
              "mpirun --oversubscribe --bind-to none -n 9 true");
    EXPECT_EQ(pretended.line(everything),
              "mpirun --oversubscribe --bind-to core --report-bindings --tag-output --timestamp-output --stdin 1 --mca "
              "odls_base_sigkill_timeout 3 "
              "-n 2 -x 'A=b c' --wdir /tmp true x : -n 1 -x C= false");
    EXPECT_EQ(pretended.line({"--hosts", "h1,h2:4", "--stdin", "none", "./app"}),
              "mpirun --oversubscribe --bind-to none --host h1:1,h2:4 --stdin none -n 5 ./app");
    EXPECT_EQ(pretended.line({"--hosts", "h1,h2:4", "-n", "3", "./app"}),
              "mpirun --oversubscribe --bind-to none --host h1:1,h2:4 -n 3 ./app");
}

TEST(RankrunEngines, OpenMpi5) {
    const Pretended pretended;
    pretended.mpirun("mpirun (Open MPI) 5.0.3");
    EXPECT_EQ(pretended.line(everything),
              "mpirun --map-by :OVERSUBSCRIBE --bind-to core --display bindings --output tag,timestamp --stdin 1 "
              "-n 2 -x 'A=b c' --wdir /tmp true x : -n 1 -x C= false");
}

TEST(RankrunEngines, Mpich) {
    const Pretended pretended;
    pretended.mpirun("HYDRA build details:\n    Version:  4.0.2");
    EXPECT_EQ(pretended.line({"--via", "mpirun", "-n", "2", "-x", "A=b c", "--wdir", "/tmp", "--label", "--bind",
                              "core", "true", ":", "-n", "1", "--wdir", "/tmp", "false"}),
              "mpirun -bind-to core -prepend-rank -wdir /tmp -n 2 -env A 'b c' true : -n 1 false");
    EXPECT_EQ(pretended.line({"--hosts", "h1,h2:4", "./app"}), "mpirun -hosts h1:1,h2:4 -n 5 ./app");
    EXPECT_EQ(pretended.line({"--via", "mpirun", "-n", "1", "--stdin", "none", "true"}),
              "mpirun -n 1 sh -c 'exec \"$0\" \"$@\" </dev/null' true");
    const std::pair<Words, std::string> refused[] = {{{"--timestamp"}, "--timestamp"},
                                                     {{"--report-bindings"}, "--report-bindings"},
                                                     {{"--stdin", "all"}, "--stdin"},
                                                     {{"--stdin", "1"}, "--stdin"}};
    for (const auto& [option, says] : refused) {
        Words words{"--via", "mpirun", "-n", "2"};
        words.insert(words.end(), option.begin(), option.end());
        words.push_back("true");
        const auto result = pretended.plan(words);
        EXPECT_EQ(result.exit_code, 2);
        expect_one_line(result, "rankrun: " + says, "MPICH");
    }
}

TEST(RankrunEngines, UnknownOrMissingMpirunIsSaid) {
    const Pretended pretended;
    pretended.mpirun("the mpirun of somebody 1.0");
    const auto unknown = pretended.plan({"--via", "mpirun", "-n", "2", "true"});
    EXPECT_EQ(unknown.exit_code, 2);
    expect_one_line(unknown, "rankrun:", "the mpirun of somebody 1.0");
    const auto missing = rankrun({"--via", "mpirun", "-n", "2", "/bin/true"}, {.environment = {"PATH=/nowhere"}});
    EXPECT_EQ(missing.exit_code, 127);
    expect_one_line(missing, "rankrun:", "no mpirun in PATH");
    const auto no_srun = rankrun({"--via", "srun", "-n", "2", "/bin/true"}, {.environment = {"PATH=/nowhere"}});
    EXPECT_EQ(no_srun.exit_code, 127);
    expect_one_line(no_srun, "rankrun:", "no srun in PATH");
}

// ---- Slurm ----

const Words two_nodes{"SLURM_JOB_ID=7", "SLURM_JOB_NUM_NODES=2", "SLURM_JOB_CPUS_PER_NODE=4(x2)"};

TEST(RankrunEngines, SrunInAnAllocationOfSeveralNodes) {
    const Pretended pretended;
    pretended.srun("none pmi2 pmix");
    pretended.mpirun("mpirun (Open MPI) 4.1.4");
    EXPECT_EQ(pretended.line({"./app"}, two_nodes),
              "srun --kill-on-bad-exit=1 --mpi=pmix --cpu-bind=none --input=0 ./app");
    EXPECT_EQ(pretended.line({"-n", "8", "-x", "A=b c", "-l", "--wdir", "/tmp", "--stdin", "all", "--bind", "core",
                              "--report-bindings", "./app"},
                             two_nodes),
              "A='b c' srun --kill-on-bad-exit=1 --mpi=pmix --ntasks=8 --cpu-bind=verbose,cores --input=all --label "
              "--chdir=/tmp ./app");
    EXPECT_EQ(pretended.line({"-n", "9", "./app"}, two_nodes),
              "srun --kill-on-bad-exit=1 --mpi=pmix --ntasks=9 --overcommit --cpu-bind=none --input=0 ./app");
    pretended.mpirun("HYDRA build details:");
    Words more = two_nodes;
    more.push_back("SLURM_CPUS_PER_TASK=2");
    EXPECT_EQ(pretended.line({"./app"}, more),
              "srun --kill-on-bad-exit=1 --mpi=pmi2 --cpus-per-task=2 --cpu-bind=none --input=0 ./app");
}

TEST(RankrunEngines, SrunsRanksKnowTheirPlace) {
    const Pretended pretended;
    const struct {
        std::string node, tasks, here;
    } cases[] = {{"0", "12", "12"},      {"1", "2(x2),1", "2"},     {"2", "2(x2),1", "1"},
                 {"0", "1,3(x10)", "1"}, {"10", "1,3(x10),7", "3"}, {"11", "1,3(x10),7", "7"}};
    for (const auto& each : cases) {
        pretended.script("srun", "[ \"$1\" = --mpi=list ] && exit\nwhile [ \"$1\" != sh ]; do shift; done\nexport " +
                                     ("SLURM_NODEID=" + each.node) + " 'SLURM_STEP_TASKS_PER_NODE=" + each.tasks +
                                     "' SLURM_PROCID=4 SLURM_STEP_NUM_TASKS=50 SLURM_LOCALID=0\nexec \"$@\"\n");
        const auto result =
            rankrun({"sh", "-c", "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $RANKPOOL_RESTARTS"},
                    {.environment = pretended.environment(two_nodes)});
        EXPECT_EQ(result.out, "4 50 0 " + each.here + " 0\n") << result.err;
    }
}

TEST(RankrunEngines, SrunOnSomeOfItsHosts) {
    const Pretended pretended;
    pretended.srun("none");
    EXPECT_EQ(pretended.line({"--hosts", "h1:2,h2:2", "./app"}, two_nodes),
              "srun --kill-on-bad-exit=1 --ntasks=4 --nodes=2 --ntasks-per-node=2 --nodelist=h1,h2 --cpu-bind=none "
              "--input=0 ./app");
    EXPECT_EQ(pretended.line({"--hosts", "h1,h2:3", "./app"}, two_nodes),
              "srun --kill-on-bad-exit=1 --ntasks=4 --distribution=arbitrary '--nodelist=h1*1,h2*3' --cpu-bind=none "
              "--input=0 ./app");
}

TEST(RankrunEngines, WhatSrunCannotDoIsRefused) {
    const Pretended pretended;
    pretended.srun("pmix");
    for (const Words& words :
         {Words{"--timestamp", "-n", "1", "true"}, Words{"-n", "1", "true", ":", "-n", "1", "true"}}) {
        const auto result = pretended.plan(words, two_nodes);
        EXPECT_EQ(result.exit_code, 2);
        expect_one_line(result, "rankrun:", "srun");
    }
}

TEST(RankrunEngines, OneMachineIsOurs) {
    const Pretended pretended;
    pretended.srun("pmix");
    char name[256] = {};
    ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
    const std::string rank = "rank 0: true\n", end = "# 1 rank on this machine; standard input to rank 0\n";
    const Words one_node{"SLURM_JOB_ID=7", "SLURM_JOB_NUM_NODES=1"};
    Words task = two_nodes;
    task.push_back("SLURM_STEP_ID=0");
    EXPECT_EQ(pretended.plan({"-n", "1", "true"}).out, rank + end);
    EXPECT_EQ(pretended.plan({"-n", "1", "true"}, one_node).out, rank + end);
    EXPECT_EQ(pretended.plan({"-n", "1", "true"}, task).out, rank + end);
    EXPECT_EQ(pretended.plan({"--via", "local", "-n", "1", "true"}, two_nodes).out, rank + end);
    EXPECT_EQ(pretended.plan({"--hosts", "localhost", "true"}, two_nodes).out, rank + end);
    EXPECT_EQ(pretended.plan({"--hosts", name, "true"}).out, rank + end);
    EXPECT_EQ(
        pretended.plan({"--hosts", std::string(name) + ":3", "true"}).out.find("rank 2: true") == std::string::npos,
        false);
    const auto elsewhere = pretended.plan({"--via", "local", "--hosts", "h1", "true"});
    EXPECT_EQ(elsewhere.exit_code, 2);
    expect_one_line(elsewhere, "rankrun: --via local:", "h1:1 is not this machine");
}

TEST(RankrunEngines, WrongUseIsSaid) {
    for (const std::string hosts : {"", "h1,", ":2", "h1:", "h1:0", "h1:x"}) {
        const auto result = rankrun({"--hosts", hosts, "true"});
        EXPECT_EQ(result.exit_code, 2) << hosts;
        expect_one_line(result, "rankrun: --hosts " + hosts, "HOST:RANKS");
    }
    const auto via = rankrun({"--via", "ssh", "true"});
    EXPECT_EQ(via.exit_code, 2);
    expect_one_line(via, "rankrun: --via ssh", "auto, local, mpirun, srun");
}

// ---- the engines of this machine ----

class RankrunThroughMpirun : public testing::TestWithParam<std::string> {
  protected:
    const ScriptDirectory directory;

    Result run(Words words, subprocess::Options options = {}) {
        directory.script("mpirun", "exec " + start(GetParam(), 1, {}).front() + " \"$@\"\n");
        words.insert(words.begin(), {"--via", "mpirun"});
        options.environment.push_back("PATH=" + directory.text() + ":/usr/bin:/bin");
        options.environment.push_back("TMPDIR=" + directory.text());  // Open MPI leaves files there when it is killed
        return rankrun(words, options);
    }
};

TEST_P(RankrunThroughMpirun, RanksMeet) {
    const auto result = run({"-n", "3", programs().ranks});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(3));
}

TEST_P(RankrunThroughMpirun, OptionsHaveTheirMeaning) {
    const auto result = run({"-n", "2", "-x", "A=b c", "--wdir", "/usr", "sh", "-c",
                             "echo $A $(pwd); [ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} != 0 ] || cat"},
                            {.input = "typed\n"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"b c /usr", "b c /usr", "typed"}));
    const auto none = run({"-n", "2", "--stdin", "none", "cat"}, {.input = "typed\n"});
    EXPECT_EQ(none.exit_code, 0) << none.err;
    EXPECT_EQ(none.out, "");
}

// In front of what short programs do: they read their input to its end first. MPICH's mpirun dies of SIGPIPE when it hands
// input to a rank that has ended.
const std::string read_all = "[ $RANK != 0 ] || cat; ";

TEST_P(RankrunThroughMpirun, FilesLieWhereOursWould) {
    const auto result = run({"-n", "2", "-o", directory.path("out put"), "sh", "-c", read_all + "echo out; echo err >&2"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    for (const std::string rank : {"0", "1"})
        for (const std::string stream : {"out", "err"}) {
            std::ifstream in(directory.path("out put/rank." + rank + "/std" + stream));
            EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), stream + "\n");
        }
}

TEST_P(RankrunThroughMpirun, RanksKnowTheirPlace) {
    const auto result = run({"-n", "2", "sh", "-c", read_all + "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), (Words{"0 2 0 2", "1 2 1 2"}));
}

TEST_P(RankrunThroughMpirun, FilesOfAllStartsAreKept) {
    // Of the second job's; those of the first are replaced.
    for (int job = 0; job < 2; ++job) {
        const auto result = run({"--restarts", "1", "-n", "1", "-o", directory.path("output"), "sh", "-c",
                                 read_all + "echo start $RANKPOOL_RESTARTS; [ $RANKPOOL_RESTARTS = 1 ]"});
        EXPECT_EQ(result.exit_code, 0) << result.err;
    }
    std::ifstream in(directory.path("output/rank.0/stdout"));
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "start 0\nstart 1\n");
}

TEST_P(RankrunThroughMpirun, ItsExitCodeIsOurs) {
    const auto result = run({"-n", "1", "sh", "-c", read_all + "exit 3"});
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_EQ(lines_from(result.err, "rankrun:"), Words());  // the engine has said it
}

TEST_P(RankrunThroughMpirun, TimeIsOursToo) {
    const auto result = run({"--timeout", "1", "-n", "2", "sleep", "1000"}, {.limit = 60s});
    EXPECT_EQ(result.exit_code, 124);
    EXPECT_EQ(lines_from(result.err, "rankrun:").size(), 1u) << result.err;
}

TEST_P(RankrunThroughMpirun, NothingIsLeftWhenRankrunIsKilled) {
    const auto result =
        run({"-n", "2", "sh", "-c", "echo ready; exec sleep 1000"},
            {.limit = 60s, .when_printed = "ready", .then = [](pid_t launcher) { send(launcher, SIGKILL); }});
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
}

INSTANTIATE_TEST_SUITE_P(Mpi, RankrunThroughMpirun, testing::ValuesIn(mpis()),
                         [](const auto& mpi) { return mpi.param; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RankrunThroughMpirun);

}  // namespace
