// How this process was started: alone, or as a rank of a job, and by whom.
//
// Variables alone prove nothing: every descendant of a rank inherits them, shells keep stale ones, and a plain batch
// script has some. So a process is a rank only when (1) the launcher's variables are there, (2) the launcher itself is:
// the nearest launcher among the living ancestors, or its listening server, and (3) this process is the first to claim
// the rank. The claim is an
// abstract socket named by user, launcher and rank, held as long as the process lives: a wrapper script does not claim,
// so `mpirun ./wrapper.sh` changes nothing; a program that a rank starts comes second, and is standalone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launch/job_socket.hpp"
#include "os/unique_fd.hpp"

namespace rankpool::launch {

enum class Starter { nobody, rankrun, open_mpi, mpich };

struct Launch {
    Starter starter = Starter::nobody;
    int rank = 0;
    int size = 1;
    int local_size = 1;  // ranks on this machine, as the launcher says; where it does not, at most this many
    std::string job;     // names the job on this machine
    os::UniqueFd claim;
    std::optional<JobMembership> membership;  // rankrun's

    /// What makes this process the rank, and must not live on in the children it forks.
    std::vector<int> descriptors() const;
};

/// Finds out, and claims the rank. To be called once, before the process has threads. Throws LaunchError when a
/// launcher started this process but it cannot be part of the job; `launch` then has what give_up() needs to know.
void detect(Launch& launch);

/// Removes the launchers' variables and ours from the environment: what this process starts is no rank.
void clear_launcher_variables();

/// Waits, a second at most, until MPI's launcher has read what this process printed. To be called before MPI_Abort:
/// told to abort, the launcher ends without looking for more (MPICH's does).
void let_output_through(const Launch& launch);

/// Ends a process that cannot be part of its job, with exit code 1, so that the launcher ends the others too, also
/// before MPI was initialised. What several ranks meet on one machine is said by one of them.
[[noreturn]] void give_up(const Launch& launch, const std::string& why);

}  // namespace rankpool::launch
