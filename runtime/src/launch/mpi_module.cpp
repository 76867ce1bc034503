#include "launch/mpi_module.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "launch/mpi_loading.hpp"
#include <rankpool/comm/adopt.hpp>
#include <rankpool/error.hpp>

namespace rankpool::launch {
namespace {

std::string own_directory() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(&open_mpi_transport), &info) == 0 || info.dli_fname == nullptr) return ".";
    const std::string path(info.dli_fname);
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
}

// The module for an MPI ("openmpi", "mpich"), or the one RANKPOOL_MPI names. `because`: why one is needed.
const mpi::Module& load_module(const std::string& fitting, const std::string& because, const std::string& remedy) {
    const char* chosen = std::getenv("RANKPOOL_MPI");
    const std::string name = chosen != nullptr && *chosen != '\0' ? chosen : fitting;
    const std::string path = name.find('/') != std::string::npos ? name : own_directory() + "/librankpool_mpi_" + name + ".so";
    try {
        return load_mpi_module(path, fitting);
    } catch (const LaunchError& error) {
        throw LaunchError(because + error.what() + remedy);
    }
}

}  // namespace

std::unique_ptr<comm::Transport> open_mpi_transport(const Launch& launch, mpi::Threads threads) {
    const bool open_mpi = launch.starter == Starter::open_mpi;
    const mpi::Module& module = load_module(open_mpi ? "openmpi" : "mpich", std::string("started by ") + (open_mpi ? "Open MPI" : "MPICH") + "'s launcher, but ",
                                            "; install rankpool's MPI module for it, set RANKPOOL_MPI to one, or start the program with rankrun");
    return std::unique_ptr<comm::Transport>(module.open(launch.rank, launch.size, threads));
}

}  // namespace rankpool::launch

namespace rankpool::comm {

std::shared_ptr<Transport> adopt_mpi(const char* mpi, const void* communicator) {
    const mpi::Module& module = launch::load_module(mpi, std::string("a communicator of ") + mpi + " was given, but ", "; install rankpool's MPI module for it");
    return std::shared_ptr<Transport>(module.adopt(communicator));
}

}  // namespace rankpool::comm
