#include "pool/thread_share.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace rankpool::pool {

void limit_library_threads(std::uint64_t threads) {
    struct Library {
        const char* variable;
        const char* function;  // takes an int; the library may have read its variable before we were forked
    };
    static constexpr Library libraries[] = {{"OMP_NUM_THREADS", "omp_set_num_threads"},
                                            {"OPENBLAS_NUM_THREADS", "openblas_set_num_threads"},
                                            {"MKL_NUM_THREADS", "MKL_Set_Num_Threads"},
                                            {"BLIS_NUM_THREADS", "bli_thread_set_num_threads"}};
    const bool program_chose = std::getenv("OMP_NUM_THREADS") != nullptr;
    for (const auto& [variable, function] : libraries) {
        if (program_chose || std::getenv(variable) != nullptr) continue;
        if (void* symbol = dlsym(RTLD_DEFAULT, function))
            reinterpret_cast<void (*)(int)>(symbol)(static_cast<int>(threads));
    }
    if (program_chose) return;
    for (const auto& [variable, function] : libraries) setenv(variable, std::to_string(threads).c_str(), 0);
}

}  // namespace rankpool::pool
