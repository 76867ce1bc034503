#include "launch/launch.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "launch/ancestors.hpp"
#include "os/host_name.hpp"
#include "process/child.hpp"
#include "wire/code_reference.hpp"
#include <rankpool/error.hpp>

namespace rankpool::launch {
namespace {

std::optional<int> number_in(const char* variable) {
    const char* text = std::getenv(variable);
    if (text == nullptr) return std::nullopt;
    int value = 0;
    const char* last = text + std::strlen(text);
    const auto [end, error] = std::from_chars(text, last, value);
    if (error != std::errc() || end != last || value < 0) return std::nullopt;
    return value;
}

// The first ancestor whose name begins with one of `names`, as a word that no other process ever has.
std::optional<std::string> living_ancestor(std::initializer_list<std::string_view> names) {
    for (const Ancestor& ancestor : ancestors())
        for (const auto name : names)
            if (ancestor.name.compare(0, name.size(), name) == 0)
                return std::to_string(ancestor.pid) + "." + ancestor.start_time;
    return std::nullopt;
}

// Whether rankrun is the nearest launcher above this process: one that a rank of rankrun started in turn hands its
// variables on to ranks of its own.
bool rankrun_is_nearest() {
    const auto launcher = job_launcher();
    if (!launcher) return false;
    for (const Ancestor& ancestor : ancestors()) {
        if (ancestor.pid == *launcher) return true;
        for (const std::string_view other : {"mpirun", "mpiexec", "orterun", "prterun", "hydra_pmi_proxy", "slurmstepd"})
            if (ancestor.name.starts_with(other)) return false;
    }
    return true;  // outside of this process's view (a container)
}

// Whether somebody on this machine listens on the TCP port at the end of `uri`: for when the launcher runs outside of
// this process's view (a container), so that it is nobody's ancestor here.
bool server_listens(const char* uri) {
    if (uri == nullptr) return false;
    const char* colon = std::strrchr(uri, ':');
    if (colon == nullptr) return false;
    const int port = std::atoi(colon + 1);
    std::ifstream in("/proc/net/tcp");
    for (std::string line; std::getline(in, line);) {
        unsigned address = 0, local = 0, state = 0;
        if (std::sscanf(line.c_str(), " %*u: %x:%x %*x:%*x %x", &address, &local, &state) == 3 && state == 0x0A &&
            local == static_cast<unsigned>(port))
            return true;
    }
    return false;
}

os::UniqueFd bind_abstract(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t length = std::min(name.size(), sizeof address.sun_path - 1);
    std::memcpy(address.sun_path + 1, name.data(), length);
    os::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
    if (!socket || bind(socket.get(), reinterpret_cast<sockaddr*>(&address), bytes) != 0) socket.reset();
    return socket;
}

bool claim(Launch& launch) {
    launch.claim = bind_abstract("rankpool.rank." + std::to_string(getuid()) + "." + launch.job + "." + std::to_string(launch.rank));
    return static_cast<bool>(launch.claim);
}

bool is_socket(int fd) {
    struct stat status {};
    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

// A step of srun, that is: not the batch script of a job, which has a slurmstepd above it too.
bool inside_slurm_step() {
    const char* step = std::getenv("SLURM_STEP_ID");
    return step != nullptr && std::strlen(step) < 9 && std::getenv("SLURM_PROCID") != nullptr;
}

std::optional<Launch> open_mpi() {
    Launch launch;
    launch.starter = Starter::open_mpi;
    const char* space = std::getenv("PMIX_NAMESPACE");
    if (space == nullptr) return std::nullopt;
    std::optional<int> rank = number_in("OMPI_COMM_WORLD_RANK"), size = number_in("OMPI_COMM_WORLD_SIZE");
    std::optional<int> local = number_in("OMPI_COMM_WORLD_LOCAL_SIZE");
    std::optional<std::string> alive;
    if (rank && size) {
        alive = living_ancestor({"mpirun", "mpiexec", "orterun", "orted", "prte"});
        if (!alive && server_listens(std::getenv("PMIX_SERVER_URI2"))) alive = "server";
    }
    if (!alive && inside_slurm_step()) {  // srun --mpi=pmix
        rank = number_in("PMIX_RANK");
        size = number_in("SLURM_STEP_NUM_TASKS");
        local = std::nullopt;
        alive = living_ancestor({"slurmstepd"});
    }
    if (!rank || !size || !alive || *rank >= *size) return std::nullopt;
    launch.rank = *rank;
    launch.size = *size;
    launch.local_size = local.value_or(1);
    launch.job = std::string(space) + "." + *alive;
    return launch;
}

std::optional<Launch> mpich() {
    const auto rank = number_in("PMI_RANK"), size = number_in("PMI_SIZE"), fd = number_in("PMI_FD");
    if (!rank || !size || *rank >= *size) return std::nullopt;
    if (!(fd && is_socket(*fd)) && std::getenv("PMI_PORT") == nullptr) return std::nullopt;
    const auto alive = living_ancestor({"hydra_pmi_proxy", "mpiexec", "mpirun", "slurmstepd"});
    if (!alive) return std::nullopt;
    Launch launch;
    launch.starter = Starter::mpich;
    launch.rank = *rank;
    launch.size = *size;
    launch.local_size = number_in("MPI_LOCALNRANKS").value_or(1);
    launch.job = *alive;
    return launch;
}

void refuse_step_without_mpi() {
    const auto tasks = number_in("SLURM_STEP_NUM_TASKS");
    if (!inside_slurm_step() || !tasks || *tasks < 2 || !living_ancestor({"slurmstepd"})) return;
    Launch step;
    step.rank = number_in("SLURM_PROCID").value_or(0);
    const char* job = std::getenv("SLURM_JOB_ID");
    step.job = std::string("slurm.") + (job != nullptr ? job : "") + "." + std::getenv("SLURM_STEP_ID");
    if (!claim(step)) return;  // started by a task of the step: standalone
    throw LaunchError("srun started this program as " + std::to_string(*tasks) +
                      " tasks, but offers no MPI connection between them; use srun --mpi=pmix (see srun --mpi=list) or mpirun");
}

}  // namespace

std::vector<int> Launch::descriptors() const {
    std::vector<int> all;
    if (claim) all.push_back(claim.get());
    if (membership) {
        all.push_back(membership->memory.get());
        all.push_back(membership->connection.get());
    }
    return all;
}

Launch detect() {
    auto membership = rankrun_is_nearest() ? join_job(wire::build_identity()) : std::nullopt;
    if (membership) {
        Launch launch;
        launch.starter = Starter::rankrun;
        launch.rank = membership->rank;
        launch.size = launch.local_size = membership->size;
        launch.membership = std::move(membership);
        return launch;
    }
    for (const auto& look : {open_mpi, mpich}) {
        if (auto launch = look()) {
            if (claim(*launch)) return std::move(*launch);
            return {};  // somebody else is that rank
        }
    }
    refuse_step_without_mpi();
    return {};
}

void clear_launcher_variables() {
    std::vector<std::string> names;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        const auto name = text.substr(0, text.find('='));
        if (process::is_launcher_variable(name)) names.emplace_back(name);
    }
    for (const std::string& name : names) unsetenv(name.c_str());
}

bool first_to_report(const Launch& launch) {
    // Held until the process ends.
    return bind_abstract("rankpool.report." + std::to_string(getuid()) + "." + launch.job).release() >= 0;
}

void give_up(const Launch& launch, const std::string& why) {
    if (launch.starter == Starter::nobody || first_to_report(launch)) {
        if (launch.size > 1)
            std::fprintf(stderr, "rankpool: rank %d of %d (pid %d on %s): %s\n", launch.rank, launch.size, getpid(),
                         os::host_name().c_str(), why.c_str());
        else
            std::fprintf(stderr, "rankpool: %s\n", why.c_str());
    }
    std::fflush(nullptr);
    // Without this MPICH's launcher waits for ever for the ranks that did connect.
    if (const auto fd = number_in("PMI_FD"); launch.starter == Starter::mpich && fd && is_socket(*fd)) {
        static constexpr char words[] = "cmd=abort exitcode=1\n";
        (void)!write(*fd, words, sizeof words - 1);
    }
    std::_Exit(1);
}

}  // namespace rankpool::launch
