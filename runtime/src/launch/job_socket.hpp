// How a rank of rankrun and its launcher find each other, by proof rather than by variable.
//
// The launcher listens on an abstract socket with a random name and gives each rank its name and number in the
// environment. The first process that connects for a number is that rank, whatever wrapper scripts lie in between; it
// keeps the connection for life, by which the launcher sees its end. A later one learns that the rank is taken: it was
// started by a rank, and is standalone.
//
//     rank:      Hello { magic, protocol, rank } | build identity
//     launcher:  Answer { verdict, rank, size } | text        + the job's memory where the verdict is `welcome`
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "os/unique_fd.hpp"

namespace rankpool::launch {

/// A rank's place in its job.
struct JobMembership {
    int rank = 0;
    int size = 1;
    os::UniqueFd memory;      // shm::JobMemory
    os::UniqueFd connection;  // held for life
};

/// Joins the rankrun job that the environment names. Empty when there is none, when it is over, when the rank is taken,
/// or when the job is not the nearest launcher above this process. Throws LaunchError when this
/// process should be a rank but cannot be.
std::optional<JobMembership> join_job(const std::string& build_identity);

/// The launcher's pid as the environment names it; empty outside of rankrun jobs.
std::optional<pid_t> job_launcher();

/// The launcher's end.
class JobDoor {
  public:
    /// Listens for `ranks` ranks. `memory` makes what they get and is asked for its descriptor at each welcome: a job of
    /// other programs needs none. It throws Error when there is no room. Throws Error.
    JobDoor(int ranks, std::function<int()> memory);

    /// Variables for the environment of `rank`, NAME=value.
    std::vector<std::string> environment(int rank) const;

    /// Descriptors to poll for input: the door first, then one connection a rank that has joined.
    std::vector<int> descriptors() const;
    /// Somebody is at the door: answers without waiting.
    void answer();
    /// A connection is readable: true when it has ended. `rank` gets whose it was.
    bool ended(int descriptor, int& rank);

    bool joined(int rank) const { return ranks_[static_cast<std::size_t>(rank)].pid != 0; }
    pid_t pid_of(int rank) const { return ranks_[static_cast<std::size_t>(rank)].pid; }

  private:
    struct Rank {
        pid_t pid = 0;  // of the process that claimed it; 0: nobody yet
        os::UniqueFd connection;
    };
    void receive_hello(os::UniqueFd connection);

    std::string name_;
    std::function<int()> memory_;
    os::UniqueFd door_;
    std::vector<os::UniqueFd> waiting_;  // connected, their hello not yet read
    std::vector<Rank> ranks_;
    std::string build_identity_;  // the first rank's
};

}  // namespace rankpool::launch
