#include "launch/mpi_loading.hpp"

#include <dlfcn.h>

#include <rankpool/error.hpp>
#include <rankpool/version.hpp>

namespace rankpool::launch {
namespace {

std::string loader_error() {
    const char* text = dlerror();
    return text != nullptr ? text : "unknown error";
}

}  // namespace

const mpi::Module& load_mpi_module(const std::string& path, const std::string& mpi) {
    // Open MPI's own components do not name libmpi among the libraries they need: it has to be visible to all.
    const char* library = mpi == "openmpi" ? "libmpi.so.40" : "libmpich.so.12";
    if (dlopen(library, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE) == nullptr)
        throw LaunchError("its library cannot be loaded: " + loader_error());
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) throw LaunchError("the MPI module " + path + " cannot be loaded: " + loader_error());
    const auto* module = static_cast<const mpi::Module*>(dlsym(handle, mpi::module_symbol));
    if (module == nullptr || module->version != mpi::module_version)
        throw LaunchError(path + " is not an MPI module of rankpool " + version());
    if (module->name != mpi) throw LaunchError(path + " is a module for " + module->name);
    return *module;
}

}  // namespace rankpool::launch
