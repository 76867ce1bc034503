// What the tests of several machines share: the nodes of cluster.sh, in which these tests run, and the ways to start a job on them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/subprocess.hpp"

namespace cluster {

using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more);

/// Runs cluster.sh with these words, which must go well; what it printed.
std::string told(const Words& words);

/// Of each node: the processes that are neither its first one nor its slurmd, a line each with the node's name first.
Words processes_of_jobs();

/// The programs, built, and the files that they need.
struct Programs {
    std::string rankrun, word_count, sweep, monte_carlo, cpu_count, workers, long_tasks, checkpointed, iris, batch_scripts;
};
const Programs& programs();

/// "srun", and those of Open MPI and MPICH that this build has a module for.
Words launchers();
/// The command that starts `command` as `ranks` ranks on each of the three nodes.
Words start(const std::string& launcher, int ranks, const Words& command);
inline constexpr int nodes = 3;

/// The process that is rank 0 of the job of this program, wherever it is; throws when there is none.
pid_t rank_zero_of(const std::string& program);

/// Its own directory, which all nodes see, is the current one; after the test all nodes are as idle as before.
class OnCluster : public testing::Test {
  protected:
    OnCluster();
    void TearDown() override;

    const std::string& directory() const { return directory_; }
    std::string file(const std::string& name) const { return directory_ + "/" + name; }
    /// Makes a shell script and returns its path.
    std::string script(const std::string& name, const std::string& body) const;
    static std::string content(const std::string& path);

    /// Runs a command to its end, which comes.
    static subprocess::Result run(const Words& command, subprocess::Options options = {});
    /// The same; it must go well. What it printed.
    static std::string output_of(const Words& command);

  private:
    std::string directory_;
};

/// The same under each of launchers().
class OnClusterBy : public OnCluster, public testing::WithParamInterface<std::string> {
  protected:
    static Words started(int ranks, const Words& command) { return start(GetParam(), ranks, command); }
};

}  // namespace cluster
