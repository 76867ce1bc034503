#include "mpi/pmix.hpp"

#if defined(RANKPOOL_HAVE_PMIX)
#include <dlfcn.h>
#include <pmix.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include <rankpool/error.hpp>
#endif

namespace rankpool::mpi {
#if defined(RANKPOOL_HAVE_PMIX)
namespace {

bool started_by_slurm() {
    const char* names = std::getenv("PMIX_NAMESPACE");
    return names != nullptr && std::string_view(names).starts_with("slurm.");
}

// Of the library that MPI has loaded. An MPI with a PMIx inside of itself has another one, which nobody else can call.
class Pmix {
  public:
    Pmix() : library_(dlopen("libpmix.so.2", RTLD_LAZY | RTLD_NOLOAD)) {}
    ~Pmix() {
        if (library_ != nullptr) dlclose(library_);
    }
    Pmix(const Pmix&) = delete;
    Pmix& operator=(const Pmix&) = delete;

    explicit operator bool() const { return library_ != nullptr; }

    template <class Function>
    Function* function(const char* name) const {
        auto* const found = reinterpret_cast<Function*>(dlsym(library_, name));
        if (found == nullptr) throw LaunchError(std::string("libpmix has no ") + name);
        return found;
    }

  private:
    void* library_;
};

void check(pmix_status_t status, const char* call) {
    if (status != PMIX_SUCCESS) throw LaunchError(std::string(call) + " failed with status " + std::to_string(status) + " under srun");
}

}  // namespace

void wait_until_all_are_initialised() {
    if (!started_by_slurm()) return;
    const Pmix pmix;
    if (!pmix) return;
    pmix_proc_t all{};
    check(pmix.function<decltype(PMIx_Init)>("PMIx_Init")(&all, nullptr, 0), "PMIx_Init");  // MPI has, so this counts only
    all.rank = PMIX_RANK_WILDCARD;
    pmix_info_t collect{};
    std::ranges::copy(std::string_view(PMIX_COLLECT_DATA), collect.key);
    collect.value.type = PMIX_BOOL;
    collect.value.data.flag = true;
    check(pmix.function<decltype(PMIx_Fence)>("PMIx_Fence")(&all, 1, &collect, 1), "PMIx_Fence");
    check(pmix.function<decltype(PMIx_Finalize)>("PMIx_Finalize")(nullptr, 0), "PMIx_Finalize");
}

#else

void wait_until_all_are_initialised() {}

#endif
}  // namespace rankpool::mpi
