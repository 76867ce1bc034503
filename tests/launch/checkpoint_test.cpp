// Jobs with a checkpoint that end before their time, and go on: killed, and told to end by signals, in every launch.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "launch/launches.hpp"

namespace {

using namespace launches;
using namespace std::chrono_literals;
using subprocess::Result;

constexpr int items = 60, free_items = 40, workers = 4;
constexpr int drained = 75;
const auto name_of = [](const auto& info) { return info.param; };

class Checkpoint : public testing::TestWithParam<std::string> {
  protected:
    /// Runs the job; once four held items run and the journal has all that were not held, calls `then`.
    Result run(const Words& how, std::function<void(pid_t)> then = {}, std::vector<std::string> environment = {}) {
        Words words{RANKPOOL_TEST_CHECKPOINTED, directory_.text(), std::to_string(items), std::to_string(free_items)};
        words.insert(words.end(), how.begin(), how.end());
        subprocess::Options options;
        options.environment = std::move(environment);
        // When Open MPI's mpirun is killed its ranks find out by themselves, which may take them seconds.
        if (GetParam() == "openmpi") options.vanish_within = 20s;
        if (then) {
            options.when_printed = "held";
            options.then = [this, then](pid_t launcher) {
                EXPECT_TRUE(comes_true([&] { return in_journal() == free_items; })) << in_journal();
                then(launcher);
            };
        }
        Result result = subprocess::run(start(GetParam(), 3, words), options);
        EXPECT_FALSE(result.timed_out) << result.out << result.err;
        EXPECT_EQ(result.left_behind, Words());
        return result;
    }

    /// The next run finds `known` items, runs the others, and nobody runs more than that.
    void goes_on(int known) {
        const int before = started();
        std::ofstream(directory_.path("go")).put('x');
        const auto result = run({});
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(lines_from(result.out, "sum"), Words{"sum " + std::to_string(items * (items - 1) / 2)});
        EXPECT_EQ(lines_from(result.err, "rankpool:"),
                  Words{"rankpool: checkpoint " + directory_.path("journal") + ": " + std::to_string(known) + " of " +
                        std::to_string(items) + " items were there already"});
        EXPECT_EQ(started() - before, items - known);
    }

    int started() const { return static_cast<int>(sorted_lines(content("started")).size()); }
    int in_journal() const {
        int records = 0;
        const std::string text = content("journal");
        for (std::size_t at = 0; (at = text.find("pjRecord", at)) != std::string::npos; ++at) ++records;
        return records;
    }
    std::string content(const std::string& name) const {
        std::ifstream in(directory_.path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    bool mpi() const { return GetParam() != "alone" && GetParam() != "rankrun"; }

    const ScriptDirectory directory_;
};

// ---- killed ----

class CheckpointKilled : public Checkpoint {};
INSTANTIATE_TEST_SUITE_P(Under, CheckpointKilled, testing::ValuesIn(all()), name_of);
class CheckpointKilledBelowLauncher : public Checkpoint {};
INSTANTIATE_TEST_SUITE_P(Under, CheckpointKilledBelowLauncher, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(CheckpointKilled, GoesOnWithWhatWasNotFinished) {
    const auto result = run({}, [](pid_t launcher) { send(launcher, SIGKILL); });
    EXPECT_EQ(result.exit_code, 128 + SIGKILL);
    EXPECT_EQ(started(), free_items + workers);
    goes_on(free_items);
}

TEST_P(CheckpointKilledBelowLauncher, WithItsRankZero) {
    const auto result = run({}, [](pid_t launcher) { send(rank_of(launcher, 0), SIGKILL); });
    EXPECT_NE(result.exit_code, 0);
    goes_on(free_items);
}

// ---- a copy of the process ----

class CheckpointForked : public Checkpoint {};
INSTANTIATE_TEST_SUITE_P(Under, CheckpointForked, testing::Values("alone", "rankrun"), name_of);

TEST_P(CheckpointForked, EndsByASignalAsAnyProcess) {
    const auto result = run({"fork"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(lines_from(result.out, "copy"), Words{"copy ended by SIGTERM"});
    EXPECT_EQ(lines_from(result.out, "sum"), Words{"sum " + std::to_string(items * (items - 1) / 2)});
    EXPECT_EQ(lines_from(result.err, "rankpool:"), Words());
}

// ---- told to end ----

class CheckpointDrained : public Checkpoint {
  protected:
    /// The mpirun of MPICH 4.0 ends with 0 after some of the jobs to which it passed a signal on, 4 in 100, whatever their
    /// program is and ends with.
    bool may_be_forgotten(const Result& result) const { return GetParam() == "mpich" && result.exit_code == 0; }

    /// The journal has all that were started but for one, the first held item, which was told to stop.
    void expect_drained(const Result& result, const std::string& why) { expect_drained(result, why, started() - 1); }

    void expect_drained(const Result& result, const std::string& why, int known) {
        if (!may_be_forgotten(result)) {
            EXPECT_EQ(result.exit_code, drained) << result.err;
        }
        // A rank may hear of it after an item on another one has let its items go on: it starts some more.
        if (GetParam() == "alone") {
            EXPECT_EQ(started(), free_items + workers);
        }
        EXPECT_GE(started(), free_items + workers);
        EXPECT_LT(started(), items);
        EXPECT_EQ(lines_from(result.out, "sum"), Words());
        EXPECT_EQ(lines_from(result.err, "rankpool:"),
                  Words{"rankpool: " + why + " ended the call; checkpoint " + directory_.path("journal") + ": " +
                        std::to_string(known) + " of " + std::to_string(items) +
                        " items are there, run the program again to go on"});
        goes_on(known);
    }
};
INSTANTIATE_TEST_SUITE_P(Under, CheckpointDrained, testing::ValuesIn(all()), name_of);
class CheckpointDrainedBelowLauncher : public CheckpointDrained {};
INSTANTIATE_TEST_SUITE_P(Under, CheckpointDrainedBelowLauncher, testing::ValuesIn(rankrun_and_mpis()), name_of);

TEST_P(CheckpointDrained, BySigusr1WhileRunningItemsFinish) {
    expect_drained(run({}, [](pid_t launcher) { send(launcher, SIGUSR1); }), "SIGUSR1");
}

TEST_P(CheckpointDrained, BySigterm) {
    const auto result = run({}, [](pid_t launcher) { send(launcher, SIGTERM); });
    if (!mpi()) return expect_drained(result, "SIGTERM");
    EXPECT_TRUE(result.exit_code != 0 || may_be_forgotten(result));  // mpirun's own code, and its own haste
    const int known = in_journal();
    EXPECT_GE(known, free_items);
    goes_on(known);
}

TEST_P(CheckpointDrained, ByASignalToRankZero) {
    const bool alone = GetParam() == "alone";
    expect_drained(run({}, [&](pid_t launcher) { send(alone ? launcher : rank_of(launcher, 0), SIGTERM); }), "SIGTERM");
}

TEST_P(CheckpointDrainedBelowLauncher, ByASignalToAnotherRank) {
    expect_drained(run({}, [&](pid_t launcher) { send(rank_of(launcher, 1), SIGTERM); }), "SIGTERM");
}

TEST_P(CheckpointDrained, ItemsThatReturnEarlyAreRunAgain) {
    expect_drained(run({"early"}, [](pid_t launcher) { send(launcher, SIGUSR1); }), "SIGUSR1", free_items);
}

TEST_P(CheckpointDrained, ItemsThatOutliveTheGraceAreRunAgain) {
    expect_drained(run({"hang"}, [](pid_t launcher) { send(launcher, SIGUSR1); }, {"RANKPOOL_GRACE=0.1"}), "SIGUSR1",
                   free_items);
}

TEST_P(CheckpointDrained, WhateverMainMakesOfTheException) {
    const auto result = run({"catch"}, [](pid_t launcher) { send(launcher, SIGUSR1); });
    EXPECT_EQ(lines_from(result.out, "caught SIGUSR1 ended the call").size(), 1u) << result.out;
    expect_drained(result, "SIGUSR1");
}

TEST_P(CheckpointDrained, BeforeTheEndOfTheSlurmJobWhereAsked) {
    const auto result = run({"end"}, {}, {"SLURM_JOB_END_TIME=1000000000"});
    EXPECT_EQ(result.exit_code, drained) << result.err;
    EXPECT_EQ(started(), 0);
    goes_on(0);
}

TEST_P(CheckpointDrained, RubbishIsRefused) {
    for (const std::string variable : {"SLURM_JOB_END_TIME=soon", "RANKPOOL_GRACE=long"}) {
        const auto result = run({"end"}, {}, {variable});
        EXPECT_EQ(result.exit_code, 1);
        EXPECT_EQ(lines_from(result.err, "rankpool: uncaught exception in main: std::invalid_argument").size(), 1u)
            << result.err;
    }
    EXPECT_EQ(started(), 0);
}

}  // namespace
