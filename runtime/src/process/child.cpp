#include "process/child.hpp"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string_view>

namespace rankpool::process {
namespace {

mode_t current_umask() {
    // umask() can only be read by setting it; /proc tells without a moment in which another thread could be misled.
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (word == "Umask:") {
            unsigned mask = 022;
            status >> std::oct >> mask;
            return static_cast<mode_t>(mask);
        }
    return 022;
}

std::string current_directory() {
    char* path = get_current_dir_name();
    const std::string text = path != nullptr ? path : "";
    std::free(path);
    return text;
}

}  // namespace

bool is_launcher_variable(std::string_view name) {
    static constexpr std::string_view prefixes[] = {"OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "OMPI_MCA_ess_", "OMPI_FILE_LOCATION",
                                                    "OMPI_APP_CTX_",    "OMPI_NUM_APP",   "OMPI_FIRST_RANKS", "OMPI_UNIVERSE_SIZE",
                                                    "OMPI_ARGV",        "OMPI_COMMAND",   "OMPI_MCA_pmix",    "OMPI_MCA_initial_wdir",
                                                    "OMPI_MCA_shmem_RUNTIME", "PMIX_",    "PMI_",             "PRTE_",
                                                    "HYDRA_",           "HYDI_",          "MPI_LOCALRANKID",  "MPI_LOCALNRANKS",
                                                    "SLURM_PROCID",     "SLURM_LOCALID",  "SLURM_STEP",       "SLURM_TASK_PID",
                                                    "SLURM_PMIX"};
    static constexpr std::string_view exact[] = {"RANK",          "WORLD_SIZE",    "LOCAL_RANK",      "LOCAL_WORLD_SIZE",
                                                 "RANKPOOL_JOB",  "RANKPOOL_RANK", "RANKPOOL_SIZE",   "RANKPOOL_CHILD"};
    for (const auto prefix : prefixes)
        if (name.substr(0, prefix.size()) == prefix) return true;
    for (const auto word : exact)
        if (name == word) return true;
    return false;
}

std::vector<std::uint64_t> current_affinity() {
    for (std::size_t words = 16; words <= 16384; words *= 2) {
        std::vector<std::uint64_t> mask(words);
        if (sched_getaffinity(0, words * 8, reinterpret_cast<cpu_set_t*>(mask.data())) == 0) return mask;
    }
    return {};
}

Surroundings Surroundings::here() {
    Surroundings now;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        if (!is_launcher_variable(text.substr(0, text.find('=')))) now.environment.emplace_back(text);
    }
    now.working_directory = current_directory();
    now.umask = current_umask();
    now.affinity = current_affinity();
    return now;
}

}  // namespace rankpool::process
