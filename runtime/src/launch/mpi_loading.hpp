// Loading an MPI module of rankpool into this process.
#pragma once

#include <string>

#include "mpi/module.hpp"

namespace rankpool::launch {

/// Loads the module in the file `path` and, before it, the library of the MPI that it has to be for: "openmpi" or
/// "mpich". MPI is not initialised. Throws LaunchError saying what is wrong.
const mpi::Module& load_mpi_module(const std::string& path, const std::string& mpi);

}  // namespace rankpool::launch
