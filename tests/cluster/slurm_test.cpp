// Slurm: wrapper scripts, batch scripts, arrays, two jobs at once, and a step without MPI.
#include "cluster/nodes.hpp"

namespace cluster {
namespace {

class Slurm : public OnCluster {
  protected:
    // Runs a batch script to its end; what the job printed.
    std::string batch(const Words& options, const Words& script_and_arguments) const {
        // `sbatch --wait` looks every ten seconds.
        const std::string wait = script("wait.sh", R"sh(
job=$(sbatch --parsable "$@") || exit 1
while squeue -h -j "$job" -o %t | grep -q .; do sleep 0.1; done
[ -z "$(scontrol -o show job "$job" | grep -v ' ExitCode=0:0 ')" ]
)sh");
        const auto result = run(Words{wait, "--output=" + file("out.%a")} + options + script_and_arguments);
        EXPECT_EQ(result.exit_code, 0) << result.err << content(file("out.4294967294"));
        return content(file("out.4294967294"));  // not of an array
    }
    static std::string example(const std::string& name) { return programs().batch_scripts + "/" + name; }
    const Words count_words{programs().word_count, "/usr/share/common-licenses"};
};

TEST_F(Slurm, WrapperScript) {
    const std::string wrapper = script("wrapper.sh", "export OMP_NUM_THREADS=1\n\"$@\"\necho ended >&2\nexit 0\n");
    EXPECT_EQ(output_of(Words{"srun", "-N3", "-n3", "--mpi=pmix", wrapper} + count_words), output_of(count_words));
}

// A batch script's environment has a rank and a number of tasks, and there is no rank.
TEST_F(Slurm, BatchScriptWithoutSrunIsAlone) {
    EXPECT_EQ(batch({"--nodes=2", "--ntasks=2"}, Words{script("batch.sh", "exec \"$@\"\n")} + Words{programs().workers, "hosts", "2"}),
              "node1: 2 workers\n");
    const std::string cpus = batch({"--ntasks=1", "--cpus-per-task=1"}, {script("batch.sh", "exec \"$@\"\n"), programs().cpu_count});
    EXPECT_NE(cpus.find("workers of a pool:         1\n"), std::string::npos) << cpus;
}

TEST_F(Slurm, StepWithoutMpi) {
    const auto result = run(Words{"srun", "-N2", "-n2"} + count_words);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("use srun --mpi=pmix"), std::string::npos) << result.err;
}

TEST_F(Slurm, StepOfMpich) {
    if (*RANKPOOL_TEST_MPICH == '\0') return;  // a build without MPICH's module
    const Words step{"srun", "-N3", "-n6", "--mpi=pmi2"};
    EXPECT_EQ(output_of(step + count_words), output_of(count_words));
    EXPECT_EQ(output_of(step + Words{programs().workers, "hosts", "6"}), "node1: 2 workers\nnode2: 2 workers\nnode3: 2 workers\n");
}

TEST_F(Slurm, TwoJobsOnTheSameNodes) {
    const std::string both = script("both.sh", R"(
job() { srun --nodes=2 --ntasks=2 --cpus-per-task=1 --oversubscribe --mpi=pmix "$@"; }
job "$1" loss 2 "$3" >first &
job "$2" /usr/share/common-licenses >second && wait $!
)");
    const auto result = run({both, programs().workers, programs().word_count, directory()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(content(file("first")), "lost 1 of 8, on another host\n");
    EXPECT_EQ(content(file("second")), output_of(count_words));
}

// ---- examples/slurm ----

TEST_F(Slurm, ExampleOneNode) {
    EXPECT_EQ(batch({"--cpus-per-task=1"}, Words{example("one_node.sh")} + count_words), output_of(count_words));
}

TEST_F(Slurm, ExampleSeveralNodes) {
    const Words small{"--nodes=3", "--ntasks-per-node=1", "--cpus-per-task=1"};
    EXPECT_EQ(batch(small, Words{example("several_nodes.sh")} + count_words), output_of(count_words));
    EXPECT_EQ(batch(small, {example("several_nodes.sh"), programs().workers, "hosts", "3"}),
              "node1: 1 workers\nnode2: 1 workers\nnode3: 1 workers\n");
}

TEST_F(Slurm, ExampleMpirun) {
    EXPECT_EQ(batch({"--nodes=3", "--ntasks-per-node=1"}, {example("mpirun.sh"), programs().workers, "hosts", "3"}),
              "node1: 1 workers\nnode2: 1 workers\nnode3: 1 workers\n");
}

TEST_F(Slurm, ExampleRequeue) {
    // Four items wait until one of them is told to end: by SIGUSR1, here long before the time is over.
    const std::string output = file("out");
    const std::string twice = script("twice.sh", "output=" + output + R"sh(
job=$(sbatch --parsable --output="$output" --cpus-per-task=1 "$@") || exit 1
shows() { scontrol -o show job "$job" | grep -Eq "$1"; }
until grep -qs held "$output"; do sleep 0.1; done
scancel --signal=USR1 "$job"
until shows ' JobState=PENDING Reason=BeginTime '; do sleep 0.1; done
until scontrol update JobId="$job" StartTime=now+3; do sleep 0.1; done  # Slurm would wait for two minutes
until shows ' JobState=(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL) '; do sleep 0.1; done
shows ' ExitCode=0:0 ' && shows ' Restarts=1 '
)sh");
    const auto result = run({twice, example("requeue.sh"), programs().checkpointed, directory(), "60", "40"});
    EXPECT_EQ(result.exit_code, 0) << result.err << content(output);
    EXPECT_NE(content(output).find("SIGUSR1 ended the call"), std::string::npos) << content(output);
    EXPECT_NE(content(output).find(" of 60 items were there already"), std::string::npos) << content(output);
    EXPECT_NE(content(output).find("sum 1770\n"), std::string::npos) << content(output);
}

TEST_F(Slurm, ExampleArray) {
    batch({"--array=1-3", "--cpus-per-task=1"}, {example("array.sh"), programs().monte_carlo, "--paths", "20000"});
    for (const char* seed : {"1", "2", "3"})
        EXPECT_EQ(content(file("out." + std::string(seed))), output_of({programs().monte_carlo, "--paths", "20000", "--seed", seed}));
}

}  // namespace
}  // namespace cluster
