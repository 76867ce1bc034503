// What Slurm's variables say about this process.
//
// They stand in the environment of a batch script and of all it starts, and may outlive the allocation in a shell that
// was kept: they choose how a job is started, and prove nothing about ranks.
#pragma once

namespace rankrun::slurm {

/// In an allocation: a batch script, an interactive shell, or a step of it.
bool in_allocation();
/// A task of a step that srun started, rather than the script around it.
bool in_task();
/// Nodes and CPUs of the allocation; 0: not said.
int nodes_of_job();
int cpus_of_job();
/// Tasks of the step that this process is one of; 0: it is none.
int tasks_of_step();

}  // namespace rankrun::slurm
