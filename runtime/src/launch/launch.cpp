#include "launch/launch.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include <rankpool/error.hpp>
#include "launch/ancestors.hpp"
#include "os/failure.hpp"
#include "os/host_name.hpp"
#include "process/child.hpp"
#include "wire/code_reference.hpp"

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

constexpr std::string_view rankrun_name = "rank-minder", hydra_name = "hydra_pmi_proxy", slurm_name = "slurmstepd";

bool begins_with_one_of(std::string_view name, std::initializer_list<std::string_view> beginnings) {
    return std::any_of(beginnings.begin(), beginnings.end(),
                       [&](auto beginning) { return name.starts_with(beginning); });
}

// The nearest launcher above this process. Only its variables count: those of one further up were inherited through it,
// and a rank may well start another launcher.
struct Above {
    pid_t pid;
    std::string name;
    std::string process;  // a word that no other process ever has

    bool is(std::initializer_list<std::string_view> beginnings) const { return begins_with_one_of(name, beginnings); }
};

std::optional<Above> nearest_launcher() {
    const auto rankrun = job_launcher();
    const auto launcher = find_ancestor([&](const os::ProcessStat& ancestor) {
        return ancestor.pid == rankrun ||
               begins_with_one_of(ancestor.name, {rankrun_name, hydra_name, slurm_name, "mpirun", "mpiexec", "orterun", "orted", "prte"});
    });
    if (!launcher) return std::nullopt;
    return Above{launcher->pid, launcher->name, std::to_string(launcher->pid) + "." + launcher->start_time};
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

// A name for a socket that needs no file: it is free again when its last holder has ended.
class AbstractName {
  public:
    explicit AbstractName(const std::string& name) {
        address_.sun_family = AF_UNIX;
        const std::size_t length = std::min(name.size(), sizeof address_.sun_path - 1);
        std::memcpy(address_.sun_path + 1, name.data(), length);
        bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
    }
    /// Empty when somebody has the name.
    os::UniqueFd bind() const { return opened(::bind); }
    /// Empty when nobody listens.
    os::UniqueFd connect() const { return opened(::connect); }

  private:
    os::UniqueFd opened(int (*call)(int, const sockaddr*, socklen_t)) const {
        os::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        if (socket && call(socket.get(), reinterpret_cast<const sockaddr*>(&address_), bytes_) != 0) socket.reset();
        return socket;
    }

    sockaddr_un address_{};
    socklen_t bytes_ = 0;
};

bool claim(Launch& launch) {
    // The rank before the job: a name that is too long is cut at its end.
    const AbstractName name("rankpool.rank." + std::to_string(getuid()) + "." + std::to_string(launch.rank) + "." +
                            launch.job);
    launch.claim = name.bind();
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

bool rankrun(const std::optional<Above>& above, Launch& launch) {
    // Nobody in view: in a container, the launcher may be outside of it.
    if (above && above->pid != job_launcher()) return false;
    if (const char* job = std::getenv("RANKPOOL_JOB")) launch.job = job;
    launch.rank = number_in("RANKPOOL_RANK").value_or(0);
    launch.size = launch.local_size = number_in("RANKPOOL_SIZE").value_or(1);
    launch.membership = join_job(wire::build_identity());
    if (!launch.membership) return false;
    launch.starter = Starter::rankrun;
    launch.rank = launch.membership->rank;
    launch.size = launch.local_size = launch.membership->size;
    return true;
}

bool open_mpi(const std::optional<Above>& above, Launch& launch) {
    const char* space = std::getenv("PMIX_NAMESPACE");
    if (space == nullptr) return false;
    std::optional<int> rank, size;
    std::string alive;
    if (above && above->is({slurm_name}) && inside_slurm_step()) {  // srun --mpi=pmix
        rank = number_in("PMIX_RANK");
        size = number_in("SLURM_STEP_NUM_TASKS");
        alive = above->process;
        launch.local_size = size.value_or(1);
    } else {
        rank = number_in("OMPI_COMM_WORLD_RANK");
        size = number_in("OMPI_COMM_WORLD_SIZE");
        launch.local_size = number_in("OMPI_COMM_WORLD_LOCAL_SIZE").value_or(1);
        if (above && above->is({"mpirun", "mpiexec", "orterun", "orted", "prte"})) alive = above->process;
        if (!above && server_listens(std::getenv("PMIX_SERVER_URI2"))) alive = "server";
    }
    if (!rank || !size || alive.empty() || *rank >= *size) return false;
    launch.starter = Starter::open_mpi;
    launch.rank = *rank;
    launch.size = *size;
    launch.job = alive + "." + space;
    return true;
}

bool mpich(const std::optional<Above>& above, Launch& launch) {
    if (!above || !above->is({hydra_name, "mpiexec", "mpirun", slurm_name})) return false;
    const auto rank = number_in("PMI_RANK"), size = number_in("PMI_SIZE"), fd = number_in("PMI_FD");
    if (!rank || !size || *rank >= *size) return false;
    if (!(fd && is_socket(*fd)) && std::getenv("PMI_PORT") == nullptr) return false;
    launch.starter = Starter::mpich;
    launch.rank = *rank;
    launch.size = *size;
    launch.local_size = number_in("MPI_LOCALNRANKS").value_or(1);
    launch.job = above->process;
    return true;
}

// MPICH's launcher ends its connection to a rank with MPI's end.
void refuse_second_program(const Launch& launch) {
    const auto fd = number_in("PMI_FD");
    char byte;
    if (!fd || recv(*fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return;
    throw LaunchError("rank " + std::to_string(launch.rank) +
                      " of this job was another program, which has ended: a rank can run one "
                      "rankpool program; use one mpirun for each");
}

void refuse_step_without_mpi(const std::optional<Above>& above, Launch& launch) {
    const auto tasks = number_in("SLURM_STEP_NUM_TASKS");
    if (!above || !above->is({slurm_name}) || !inside_slurm_step() || !tasks || *tasks < 2) return;
    Launch step;
    step.rank = number_in("SLURM_PROCID").value_or(0);
    step.size = step.local_size = *tasks;
    const char* job = std::getenv("SLURM_JOB_ID");
    step.job = std::string("slurm.") + (job != nullptr ? job : "") + "." + std::getenv("SLURM_STEP_ID");
    if (!claim(step)) return;  // started by a task of the step: standalone
    launch = std::move(step);
    throw LaunchError(
        "srun started this program as " + std::to_string(*tasks) +
        " tasks, but offers no MPI connection between them; use srun --mpi=pmix (see srun --mpi=list) or mpirun");
}

// A job's ranks may all meet the same error. The first on this machine (it gets the name) says it; the others wait for
// its end. It waits in turn, not for long, until they have come: the launcher ends the job at the first rank that goes,
// which must not be before the error was said, and who came later would find nobody and say it again.
void say_once(const Launch& launch, const std::string& text) {
    using namespace std::chrono_literals;
    using Clock = std::chrono::steady_clock;
    const auto wait = [](int fd, Clock::time_point end) {
        pollfd event{fd, POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
        return os::retry_interrupted([&] { return poll(&event, 1, static_cast<int>(std::max<long long>(left, 0))); }) >
               0;
    };
    const AbstractName name("rankpool.report." + std::to_string(getuid()) + "." + launch.job);
    const os::UniqueFd speaker = name.bind();
    if (speaker) {
        const bool hears = listen(speaker.get(), 4096) == 0;
        std::fputs(text.c_str(), stderr);
        std::fflush(stderr);
        const auto end = Clock::now() + 1s;
        std::vector<os::UniqueFd> others;
        while (hears && static_cast<int>(others.size()) + 1 < launch.local_size && wait(speaker.get(), end))
            others.emplace_back(accept4(speaker.get(), nullptr, nullptr, SOCK_CLOEXEC));
        for (auto& other : others) (void)other.release();  // they see our end, not an earlier one
        return;
    }
    for (const auto end = Clock::now() + 3s; Clock::now() < end; sched_yield()) {
        if (const os::UniqueFd listener = name.connect()) {
            (void)wait(listener.get(), end);
            return;
        }
        if (name.bind()) return;  // the speaker has ended; else it does not listen yet
    }
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

void detect(Launch& launch) {
    const auto above = nearest_launcher();
    if (rankrun(above, launch)) return;
    launch = {};
    for (const auto& is_rank_of : {open_mpi, mpich}) {
        if (is_rank_of(above, launch)) {
            if (!claim(launch)) launch = {};  // somebody else is that rank
            if (launch.starter == Starter::mpich) refuse_second_program(launch);
            return;
        }
        launch = {};
    }
    refuse_step_without_mpi(above, launch);
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

void let_output_through(const Launch& launch) {
    using namespace std::chrono_literals;
    if (launch.starter != Starter::open_mpi && launch.starter != Starter::mpich) return;
    const auto unread = [](int fd) {
        struct stat status {};
        int bytes = 0;
        if (fstat(fd, &status) != 0) return 0;
        const bool pipe = S_ISFIFO(status.st_mode);
        if (!pipe && !S_ISSOCK(status.st_mode) && isatty(fd) == 0) return 0;
        return ioctl(fd, pipe ? FIONREAD : TIOCOUTQ, &bytes) == 0 ? bytes : 0;
    };
    const auto end = std::chrono::steady_clock::now() + 1s;
    while (unread(STDOUT_FILENO) + unread(STDERR_FILENO) > 0 && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(1ms);
}

void give_up(const Launch& launch, const std::string& why) {
    std::string text = "rankpool: " + why;
    if (launch.size > 1)
        text += " (rank " + std::to_string(launch.rank) + " of " + std::to_string(launch.size) + ", pid " +
                std::to_string(getpid()) + " on " + os::host_name() + ")";
    text += '\n';
    std::fflush(nullptr);
    if (launch.job.empty())
        std::fputs(text.c_str(), stderr);
    else
        say_once(launch, text);
    let_output_through(launch);
    // Without this MPICH's launcher waits for ever for the ranks that did connect.
    if (const auto fd = number_in("PMI_FD"); launch.starter == Starter::mpich && fd && is_socket(*fd)) {
        static constexpr char words[] = "cmd=abort exitcode=1\n";
        (void)send(*fd, words, sizeof words - 1, MSG_NOSIGNAL);
    }
    std::_Exit(1);
}

}  // namespace rankpool::launch
