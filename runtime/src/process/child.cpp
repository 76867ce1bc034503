#include "process/child.hpp"

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string_view>
#include <thread>

#include "os/blocked_signals.hpp"

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

std::string confines() {
    std::string text;
    const auto add = [&](const void* bytes, std::size_t count) { text.append(static_cast<const char*>(bytes), count); };
    const os::BlockedSignals blocked;
    std::thread([&] {  // whose own mask nobody misses: the kernel leaves of all CPUs those that it may have
        std::vector<std::uint64_t> cpus(current_affinity().size(), ~std::uint64_t{0});
        if (sched_setaffinity(0, cpus.size() * 8, reinterpret_cast<const cpu_set_t*>(cpus.data())) == 0) cpus = current_affinity();
        add(cpus.data(), cpus.size() * 8);
    }).join();
    std::ifstream status("/proc/thread-self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("Mems_allowed:", 0) == 0) text += line;
    int policy = 0;
    std::uint64_t nodes[64] = {};
    if (syscall(SYS_get_mempolicy, &policy, nodes, sizeof nodes * 8, nullptr, 0) == 0) {  // else there is none, or it may not be asked
        add(&policy, sizeof policy);
        add(nodes, sizeof nodes);
    }
    return text;
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
