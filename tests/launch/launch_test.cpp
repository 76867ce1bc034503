// How a program finds out what it is: the same binaries under every launcher, through wrappers, inside of each other,
// with variables that lie, and without the MPI module that they need.
#include <gtest/gtest.h>

#include <algorithm>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

// Without MPI, or with one only, there is nothing to try: launch.cmake leaves these out.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LaunchMissingModule);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LaunchMpirunUnderRankrun);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LaunchOtherMpi);

const auto name_of = [](const auto& info) { return info.param; };

Result run(const Words& command, subprocess::Options options = {}) {
    options.limit = 30s;
    Result result = subprocess::run(command, options);
    EXPECT_FALSE(result.timed_out) << result.out << result.err;
    EXPECT_EQ(result.left_behind, Words());
    return result;
}

Words with(Words lines, const Words& more) {
    lines.insert(lines.end(), more.begin(), more.end());
    std::sort(lines.begin(), lines.end());
    return lines;
}

void expect_refusal(const Result& result, const Words& words) {
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(subprocess::lines_with(result.out, "rank "), Words()) << "unconnected copies ran";
    EXPECT_EQ(subprocess::lines_with(result.out, "main:"), Words()) << "unconnected copies ran";
    const auto lines = lines_from(result.err, "rankpool:");
    ASSERT_EQ(lines.size(), 1u) << result.err;
    for (const auto& word : words) EXPECT_NE(lines[0].find(word), std::string::npos) << lines[0];
}

class LaunchAs : public testing::TestWithParam<std::string> {
  protected:
    const ScriptDirectory directory;
};
INSTANTIATE_TEST_SUITE_P(Under, LaunchAs, testing::ValuesIn(all()), name_of);

TEST_P(LaunchAs, RanksOfOneJob) {
    const auto result = run(start(GetParam(), 3, {programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(ranks_under(GetParam(), 3)));
}

TEST_P(LaunchAs, OneRank) {
    const auto result = run(start(GetParam(), 1, {programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(1));
}

TEST_P(LaunchAs, OneMainAndWorkersOnEveryRank) {
    const auto result = run(start(GetParam(), 3, {programs().workers, "3"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out,
              GetParam() == "alone" ? "main: 3 workers on ranks -1 -1 -1\n" : "main: 3 workers on ranks 0 1 2\n");
}

TEST_P(LaunchAs, OneMainOfOneRank) {
    const auto result = run(start(GetParam(), 1, {programs().workers, "2"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out,
              GetParam() == "alone" ? "main: 2 workers on ranks -1 -1\n" : "main: 2 workers on ranks 0 0\n");
}

TEST_P(LaunchAs, WorkersOfOneMachineHaveOneLeader) {
    const auto together = run(start(GetParam(), 3, {programs().workers, "5", "leaders"}));
    EXPECT_EQ(together.exit_code, 0) << together.err;
    EXPECT_EQ(lines_from(together.out, "main: 1 leaders").size(), 1u) << together.out;
    EXPECT_EQ(lines_from(together.out, GetParam() == "alone" ? "main: 5 workers on ranks -1" : "main: 5 workers on ranks 0 0 1 1 2").size(), 1u) << together.out;
    const auto apart = run(start(GetParam(), 3, {programs().workers, "5", "leaders"}), {.environment = {"RANKPOOL_LEADERS=rank"}});
    EXPECT_EQ(apart.exit_code, 0) << apart.err;
    EXPECT_EQ(lines_from(apart.out, "main: " + std::to_string(ranks_under(GetParam(), 3)) + " leaders").size(), 1u) << apart.out;
}

TEST_P(LaunchAs, WrapperScriptChangesNothing) {
    const auto inner = directory.script("inner", "\"$@\"\nexit $?\n");
    const auto outer = directory.script("outer", "sh -c '\"$0\" \"$@\"; exit $?' \"$@\"\nexit $?\n");
    const auto ranks = run(start(GetParam(), 3, {outer, inner, programs().ranks}));
    EXPECT_EQ(ranks.exit_code, 0) << ranks.err;
    EXPECT_EQ(sorted_lines(ranks.out), all_ranks(ranks_under(GetParam(), 3)));
    const auto workers = run(start(GetParam(), 2, {outer, inner, programs().workers, "2"}));
    EXPECT_EQ(workers.exit_code, 0) << workers.err;
    EXPECT_EQ(workers.out,
              GetParam() == "alone" ? "main: 2 workers on ranks -1 -1\n" : "main: 2 workers on ranks 0 1\n");
}

// ---- one inside the other ----

class LaunchNested : public LaunchAs {};
INSTANTIATE_TEST_SUITE_P(Under, LaunchNested, testing::ValuesIn(all()), name_of);
class LaunchSecondProgram : public LaunchAs {};
INSTANTIATE_TEST_SUITE_P(Under, LaunchSecondProgram, testing::ValuesIn(rankrun_and_mpis()), name_of);
class LaunchMpirunUnderRankrun : public LaunchAs {};
INSTANTIATE_TEST_SUITE_P(Under, LaunchMpirunUnderRankrun, testing::ValuesIn(mpis()), name_of);

TEST_P(LaunchNested, SystemStartsAStandaloneProgram) {
    const int n = ranks_under(GetParam(), 3);
    const auto ranks = run(start(GetParam(), 3, {programs().ranks, "system", programs().ranks}));
    EXPECT_EQ(ranks.exit_code, 0) << ranks.err;
    EXPECT_EQ(sorted_lines(ranks.out), with(all_ranks(n), {"rank 0 of 1"}));
    const auto workers = run(start(GetParam(), 3, {programs().ranks, "system", programs().workers + " 2"}));
    EXPECT_EQ(workers.exit_code, 0) << workers.err;
    EXPECT_EQ(sorted_lines(workers.out), with(all_ranks(n), {"main: 2 workers on ranks -1 -1"}));
}

TEST_P(LaunchNested, TheLaunchersVariablesDoNotMakeARank) {
    // Handed on by the program itself, past our clearing of them.
    const auto result = run(start(GetParam(), 3, {programs().ranks, "inherit", programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), with(all_ranks(ranks_under(GetParam(), 3)), {"rank 0 of 1"}));
}

TEST_P(LaunchNested, RankrunStartedByARank) {
    const auto result =
        run(start(GetParam(), 2, {programs().ranks, "system", programs().rankrun + " -n 3 " + programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), with(all_ranks(ranks_under(GetParam(), 2)), all_ranks(3)));
}

TEST_P(LaunchNested, RankrunOnEveryRank) {
    const auto result = run(start(GetParam(), 2, {programs().rankrun, "-n", "2", programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    Words lines;
    for (int job = 0; job < ranks_under(GetParam(), 2); ++job) lines = with(lines, all_ranks(2));
    EXPECT_EQ(sorted_lines(result.out), lines);
}

TEST_P(LaunchNested, RanksOfRankrunStayThatUnderAnotherLauncher) {
    // The second program of a rank, with all variables of both launchers: standalone, not a rank of the outer one.
    const auto result =
        run(start(GetParam(), 1, {programs().rankrun, "-n", "2", programs().ranks, "inherit", programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), with(all_ranks(2), {"rank 0 of 1"}));
}

TEST_P(LaunchSecondProgram, InARankDoesNotRun) {
    const auto both = directory.script("both", "\"$1\" && \"$1\"\n");
    const auto result = run(start(GetParam(), 2, {both, programs().ranks}));
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(sorted_lines(result.out), all_ranks(2));  // the first program's
    // Open MPI's own words are all there is: its MPI_Init fails, and ends the process.
    if (GetParam() == "openmpi") return;
    EXPECT_NE(lines_from(result.err, "rankpool:").at(0).find("one rankpool program"), std::string::npos) << result.err;
}

TEST_P(LaunchMpirunUnderRankrun, IsAJobOfItsOwn) {
    const auto inner = start(GetParam(), 2, {programs().ranks});
    const auto result = run(start("rankrun", 1, inner));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(2));
}

// ---- variables that lie ----

struct Lie {
    std::string name;
    Words variables;
};

class LaunchStale : public testing::TestWithParam<Lie> {};
const Lie lies[] = {
    {"openmpi",
     {"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=1",
      "OMPI_COMM_WORLD_LOCAL_SIZE=4", "OMPI_UNIVERSE_SIZE=4", "OMPI_MCA_orte_hnp_uri=1234.0;tcp://127.0.0.1:1",
      "PMIX_NAMESPACE=12345", "PMIX_RANK=1", "PMIX_SERVER_URI2=12345.0;tcp4://127.0.0.1:1"}},
    {"prrte",
     {"PRTE_LAUNCHED=1", "OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2", "PMIX_NAMESPACE=prterun-host-1@1",
      "PMIX_RANK=0"}},
    {"mpich", {"PMI_RANK=1", "PMI_SIZE=4", "PMI_FD=5", "MPI_LOCALRANKID=1", "MPI_LOCALNRANKS=4", "HYDI_CONTROL_FD=6"}},
    {"mpich_descriptor_in_use", {"PMI_RANK=0", "PMI_SIZE=2", "PMI_FD=0"}},
    {"mpich_port", {"PMI_RANK=0", "PMI_SIZE=2", "PMI_PORT=localhost:1", "PMI_ID=0"}},
    {"slurm_step",
     {"SLURM_JOB_ID=77", "SLURM_STEP_ID=0", "SLURM_STEPID=0", "SLURM_PROCID=1", "SLURM_LOCALID=1",
      "SLURM_STEP_NUM_TASKS=4", "SLURM_NTASKS=4", "SLURM_TASK_PID=1"}},
    {"slurm_batch_script",
     {"SLURM_JOB_ID=77", "SLURM_PROCID=0", "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_NTASKS=64", "SLURM_GTIDS=0"}},
    {"slurm_pmix",
     {"SLURM_JOB_ID=77", "SLURM_STEP_ID=0", "SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=4",
      "PMIX_NAMESPACE=slurm.pmix.77.0", "PMIX_RANK=1"}},
    {"rankrun",
     {"RANKPOOL_JOB=rankrun.1.00112233445566778899aabbccddeeff", "RANKPOOL_RANK=1", "RANKPOOL_SIZE=4", "RANK=1",
      "WORLD_SIZE=4", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=4"}},
    {"rubbish",
     {"RANKPOOL_JOB=", "RANKPOOL_RANK=many", "PMI_RANK=-1", "PMI_SIZE=0", "OMPI_COMM_WORLD_RANK=9",
      "OMPI_COMM_WORLD_SIZE=x", "PMIX_NAMESPACE=", "RANKPOOL_CHILD=server:run:0:1", "RANKPOOL_MPI=/nonexistent/x.so"}},
};
INSTANTIATE_TEST_SUITE_P(Variables, LaunchStale, testing::ValuesIn(lies),
                         [](const auto& lie) { return lie.param.name; });

TEST_P(LaunchStale, MeanNothingInAPlainShell) {
    const auto ranks = run({"sh", "-c", programs().ranks + "; exit $?"}, {.environment = GetParam().variables});
    EXPECT_EQ(ranks.exit_code, 0) << ranks.err;
    EXPECT_EQ(ranks.out, "rank 0 of 1\n");
    EXPECT_EQ(ranks.err, "");
    const auto workers = run({programs().workers, "2"}, {.environment = GetParam().variables});
    EXPECT_EQ(workers.exit_code, 0) << workers.err;
    EXPECT_EQ(workers.out, "main: 2 workers on ranks -1 -1\n");
}

TEST_P(LaunchStale, MeanNothingToRankrun) {
    const auto result = run(start("rankrun", 3, {programs().ranks}), {.environment = GetParam().variables});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), all_ranks(3));
}

TEST_P(LaunchStale, MeanNothingToTheLaunchersOfMpi) {
    for (const auto& mpi : mpis()) {
        // Open MPI and Slurm's variables: mpirun itself would believe them.
        const bool foreign = (mpi == "openmpi" && GetParam().name.rfind("mpich", 0) == 0) ||
                             (mpi == "mpich" && (GetParam().name == "openmpi" || GetParam().name == "prrte")) ||
                             GetParam().name == "rankrun";
        if (!foreign) continue;
        const auto result = run(start(mpi, 2, {programs().ranks}), {.environment = GetParam().variables});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), all_ranks(2)) << mpi;
    }
}

// ---- Slurm, played by a script of the name that its daemon has ----

class LaunchSlurm : public testing::Test {
  protected:
    const ScriptDirectory directory;
    // Starts the program as the tasks of a step, with what slurmstepd sets.
    Result step(int tasks, const Words& program, const Words& variables = {"SLURM_STEP_ID=0"}) const {
        const std::string n = std::to_string(tasks);
        Words command{directory.script(
            "slurmstepd", "for task in $(seq 0 " + std::to_string(tasks - 1) +
                              "); do SLURM_PROCID=$task SLURM_LOCALID=$task \"$@\" & started=\"$started $!\"; done\n"
                              "for pid in $started; do wait $pid || code=$?; done\nexit ${code:-0}\n")};
        command.insert(command.end(), program.begin(), program.end());
        Words environment{"SLURM_JOB_ID=77", "SLURM_NTASKS=" + n, "SLURM_STEP_NUM_TASKS=" + n};
        environment.insert(environment.end(), variables.begin(), variables.end());
        return run(command, {.environment = environment});
    }
};

TEST_F(LaunchSlurm, AStepWithoutMpiIsRefusedOnce) {
    for (const Words& program : {Words{programs().ranks}, Words{programs().workers, "3"}})
        expect_refusal(step(3, program), {"srun", "--mpi=pmix"});
}

TEST_F(LaunchSlurm, AStepOfOneTaskNeedsNoMpi) {
    const auto result = step(1, {programs().ranks});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "rank 0 of 1\n");
}

TEST_F(LaunchSlurm, ABatchScriptIsNoStep) {
    // The number that stands for the batch script itself, or that of the step from which the script was submitted.
    for (const Words& variables : {Words{}, Words{"SLURM_STEP_ID=4294967291"}}) {
        const auto result = step(1, {"env", "SLURM_NTASKS=64", "SLURM_STEP_NUM_TASKS=64", programs().ranks}, variables);
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(result.out, "rank 0 of 1\n");
    }
}

TEST_F(LaunchSlurm, LaunchersInsideOfABatchScript) {
    for (const auto& launcher : rankrun_and_mpis()) {
        if (launcher == "openmpi") continue;  // looks for a real Slurm
        const auto result = step(1, start(launcher, 2, {programs().ranks}), {});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), all_ranks(2));
    }
}

// ---- one build on all ranks ----

class LaunchBuilds : public LaunchAs {};
INSTANTIATE_TEST_SUITE_P(Under, LaunchBuilds, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(LaunchBuilds, AnotherOneOnSomeRankEndsTheJob) {
    for (const std::string odd : {"0", "2"}) {
        const auto wrapper =
            directory.script("either", "[ " + (rank_in_shell + (" = " + odd)) + " ] && exec " +
                                           programs().ranks_other_build + "\nexec " + programs().ranks + "\n");
        const auto result = run(start(GetParam(), 3, {wrapper}));
        EXPECT_EQ(result.exit_code, 1);
        // rankrun tells those that come later; who came first may have printed its line by then.
        if (GetParam() == "rankrun") {
            EXPECT_EQ(lines_from(result.err, "rankpool:").size(), 1u) << result.err;
        } else {
            expect_refusal(result, {"different builds of the program", programs().ranks, programs().ranks_other_build});
        }
    }
}

TEST_P(LaunchBuilds, AnotherProgramInPoolStyleToo) {
    const auto wrapper =
        directory.script("either", "[ " + (rank_in_shell + (std::string(" = 1 ] && exec ") + programs().ranks)) +
                                       "\nexec " + programs().workers + " 3\n");
    const auto result = run(start(GetParam(), 3, {wrapper}));
    EXPECT_EQ(result.exit_code, 1);
    if (GetParam() == "rankrun") {
        EXPECT_EQ(lines_from(result.err, "rankpool:").size(), 1u) << result.err;
    } else {
        expect_refusal(result, {"different builds of the program", programs().ranks, programs().workers});
    }
}

// ---- no fitting MPI module ----

class LaunchMissingModule : public LaunchAs {};
INSTANTIATE_TEST_SUITE_P(Under, LaunchMissingModule, testing::ValuesIn(mpis()), name_of);
class LaunchOtherMpi : public LaunchAs {};
INSTANTIATE_TEST_SUITE_P(Under, LaunchOtherMpi, testing::ValuesIn(mpis().size() > 1 ? mpis() : Words()), name_of);

TEST_P(LaunchMissingModule, OnAllRanks) {
    for (const Words& program : {Words{programs().ranks}, Words{programs().workers, "3"}})
        expect_refusal(run(start(GetParam(), 3, program), {.environment = {"RANKPOOL_MPI=/nonexistent/x.so"}}),
                       {"/nonexistent/x.so"});
}

TEST_P(LaunchMissingModule, OfThatName) {
    expect_refusal(run(start(GetParam(), 3, {programs().ranks}), {.environment = {"RANKPOOL_MPI=nonesuch"}}),
                   {"librankpool_mpi_nonesuch.so"});
}

TEST_P(LaunchMissingModule, OnOneRankOnly) {
    for (const std::string odd : {"0", "1"}) {
        const auto wrapper =
            directory.script("wrapper", "[ " + (rank_in_shell + (" = " + odd)) +
                                            " ] && export RANKPOOL_MPI=/nonexistent/x.so\n\"$@\"\nexit $?\n");
        for (const Words& program : {Words{programs().ranks}, Words{programs().workers, "3"}}) {
            Words command{wrapper};
            command.insert(command.end(), program.begin(), program.end());
            expect_refusal(run(start(GetParam(), 3, command)), {"/nonexistent/x.so", "rank " + odd});
        }
    }
}

TEST_P(LaunchOtherMpi, OnAllRanks) {
    const std::string other = GetParam() == "mpich" ? "openmpi" : "mpich";
    for (const Words& program : {Words{programs().ranks}, Words{programs().workers, "3"}})
        expect_refusal(run(start(GetParam(), 3, program), {.environment = {"RANKPOOL_MPI=" + other}}),
                       {"for " + other});
}

TEST_P(LaunchOtherMpi, OnOneRankOnly) {
    const std::string other = GetParam() == "mpich" ? "openmpi" : "mpich";
    const auto wrapper = directory.script("wrapper", "[ " + (rank_in_shell + std::string(" = 1")) +
                                                         " ] && export RANKPOOL_MPI=" + other + "\n\"$@\"\nexit $?\n");
    expect_refusal(run(start(GetParam(), 3, {wrapper, programs().ranks})), {"for " + other});
}

TEST_P(LaunchMissingModule, IsNotWantedByAProgramThatARankStarts) {
    const auto result =
        run(start(GetParam(), 2, {programs().ranks, "system", "RANKPOOL_MPI=/nonexistent/x.so " + programs().ranks}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(sorted_lines(result.out), with(all_ranks(2), {"rank 0 of 1"}));
}

TEST(LaunchDependencies, NoMpiLibraryIsLinked) {
    for (const auto& program : {programs().ranks, programs().workers, programs().rankrun}) {
        const auto result = run({"ldd", program});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        for (const std::string library : {"libmpi", "librankpool_mpi", "libopen-", "libpmix", "libucp", "libhwloc"}) {
            if (library == "libhwloc" && program == programs().rankrun) continue;  // it pins ranks by itself
            EXPECT_EQ(subprocess::lines_with(result.out, library), Words()) << program;
        }
    }
}

TEST(LaunchDependencies, NoMpiModuleIsWantedWithoutItsLauncher) {
    for (const std::string launcher : {"alone", "rankrun"}) {
        const auto result =
            run(start(launcher, 2, {programs().ranks}), {.environment = {"RANKPOOL_MPI=/nonexistent/x.so"}});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(sorted_lines(result.out), all_ranks(ranks_under(launcher, 2)));
    }
}

}  // namespace
