#include "info.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include <rankpool/cpus.hpp>
#include <rankpool/version.hpp>
#include "launch/mpi_loading.hpp"
#include "os/cgroup.hpp"
#include "os/failure.hpp"
#include "os/host_name.hpp"
#include "os/unique_fd.hpp"
#include "program_search.hpp"
#include "slurm.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

std::string gibibytes(std::size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
    return text;
}

// ---- CPUs and memory ----

std::string cpus_text() {
    const int usable = rankpool::process_cpu_count(), all = rankpool::cpu_count();
    std::string text = std::to_string(usable) + " usable of " + std::to_string(all);
    if (std::getenv("RANKPOOL_CPU_COUNT") != nullptr) return text + " (set by RANKPOOL_CPU_COUNT)";
    if (const auto quota = os::cpu_quota()) {
        char words[64];
        std::snprintf(words, sizeof words, " (a control group allows %.2g CPUs of time)", quota->cpus);
        text += words;
    }
    return text;
}

// A line of /proc/meminfo, in bytes.
std::size_t memory_line(const std::string& name) {
    std::ifstream in("/proc/meminfo");
    for (std::string line; std::getline(in, line);)
        if (line.rfind(name + ":", 0) == 0)
            return static_cast<std::size_t>(std::strtoull(line.c_str() + name.size() + 1, nullptr, 10)) * 1024;
    return 0;
}

std::string memory_text() {
    std::string text = gibibytes(memory_line("MemAvailable")) + " available of " + gibibytes(memory_line("MemTotal"));
    if (const auto room = os::memory_room()) text += "; control groups leave " + gibibytes(*room);
    return text;
}

// ---- single copy: whether a process may read a sibling's memory, as ranks do with large messages ----

std::uint64_t sample = 0;

// A child that holds a value in `sample` until it is killed. It says a byte when it is ready.
pid_t start_holder(int ready) {
    const pid_t pid = os::check(fork(), "fork");
    if (pid != 0) return pid;
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sample = 0x7261'6e6b'706f'6f6c;
    (void)!write(ready, "r", 1);
    for (;;) pause();
}

// 0, or the reason why not.
int try_to_read(pid_t pid) {
    std::uint64_t value = 0;
    const iovec local{&value, sizeof value}, remote{&sample, sizeof sample};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof value ? 0 : errno;
}

std::string single_copy_text() {
    int ready[2];
    os::check(pipe2(ready, O_CLOEXEC), "pipe2");
    const os::UniqueFd ready_out(ready[0]), ready_in(ready[1]);
    const pid_t holder = start_holder(ready[1]);
    char word;
    os::retry_interrupted([&] { return read(ready[0], &word, 1); });
    const pid_t reader = os::check(fork(), "fork");
    if (reader == 0) _exit(try_to_read(holder));  // a sibling
    int status = 0;
    os::retry_interrupted([&] { return waitpid(reader, &status, 0); });
    kill(holder, SIGKILL);
    os::retry_interrupted([&] { return waitpid(holder, nullptr, 0); });
    const int error = WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
    return error == 0 ? "yes"
                      : "no, large messages are copied twice; process_vm_readv: " + std::string(std::strerror(error));
}

// ---- MPI ----

// Where the library and its modules lie, seen from the program: in an installation and in a build tree.
std::vector<std::filesystem::path> library_directories() {
    std::error_code error;
    const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    return {here.parent_path() / RANKRUN_LIBRARY_DIRECTORY, here.parent_path() / "lib"};
}

// As a rank would load it. In a process of its own: two MPIs do not go together in one.
std::string state_of_module(const std::filesystem::path& path, const std::string& name) {
    int ends[2];
    os::check(pipe2(ends, O_CLOEXEC), "pipe2");
    const os::UniqueFd reading(ends[0]);
    os::UniqueFd writing(ends[1]);
    const pid_t pid = os::check(fork(), "fork");
    if (pid == 0) {
        std::string text = "works";
        try {
            rankpool::launch::load_mpi_module(path, name);
        } catch (const std::exception& error) {
            text = std::string("does not work: ") + error.what();
        }
        (void)!write(writing.get(), text.data(), text.size());
        _exit(0);
    }
    writing.reset();
    std::string text;
    char piece[1024];
    for (ssize_t got; (got = os::retry_interrupted([&] { return read(reading.get(), piece, sizeof piece); })) > 0;)
        text.append(piece, static_cast<std::size_t>(got));
    os::retry_interrupted([&] { return waitpid(pid, nullptr, 0); });
    return text.empty() ? "does not work: loading it ends the process" : text;
}

std::string mpi_modules_text() {
    const std::string beginning = "librankpool_mpi_";
    std::string text;
    std::set<std::string> names;
    for (const auto& directory : library_directories()) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
            const std::string file = entry.path().filename().string();
            if (file.rfind(beginning, 0) != 0 || entry.path().extension() != ".so") continue;
            const std::string name = entry.path().stem().string().substr(beginning.size());
            if (!names.insert(name).second) continue;
            text += (text.empty() ? "" : "; ") + name + " (" +
                    std::filesystem::weakly_canonical(entry.path()).string() + ") " +
                    state_of_module(entry.path(), name);
        }
    }
    return text.empty() ? "none found" : text;
}

std::string or_none(const std::string& path) { return path.empty() ? "not in PATH" : path; }

// ---- Slurm ----

std::string slurm_text() {
    const std::string srun = find_in_path("srun");
    if (!slurm::in_allocation()) return srun.empty() ? "no srun in PATH" : srun + ", outside of an allocation";
    std::string text = std::string("job ") + std::getenv("SLURM_JOB_ID");
    if (const int nodes = slurm::nodes_of_job(); nodes > 0)
        text += ", " + std::to_string(nodes) + (nodes == 1 ? " node" : " nodes");
    if (const int cpus = slurm::cpus_of_job(); cpus > 0) text += ", " + std::to_string(cpus) + " CPUs";
    if (slurm::in_task()) text += ", in a task of a step";
    return text + "; srun: " + or_none(srun);
}

}  // namespace

std::string info_text() {
    std::ostringstream text;
    text << "rankrun: " << rankpool::version() << '\n'
         << "host: " << os::host_name() << '\n'
         << "CPUs: " << cpus_text() << '\n'
         << "memory: " << memory_text() << '\n'
         << "single copy: " << single_copy_text() << '\n'
         << "MPI modules: " << mpi_modules_text() << '\n'
         << "mpirun: " << or_none(find_in_path("mpirun")) << '\n'
         << "Slurm: " << slurm_text() << '\n';
    return text.str();
}

}  // namespace rankrun
