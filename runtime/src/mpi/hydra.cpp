#include "mpi/hydra.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mpi/types.hpp"

namespace rankpool::mpi {

#if defined(MPICH_NUMVERSION) && MPICH_NUMVERSION < 40200000
namespace {

constexpr int unknown = -1;
constexpr std::size_t longest_line = 1024;
int launcher = unknown;  // its descriptor

bool on_several_machines(MPI_Comm all) {
    MPI_Comm here = MPI_COMM_NULL;
    check(MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here), "MPI_Comm_split_type");
    int of_all = 0, of_here = 0;
    check(MPI_Comm_size(all, &of_all), "MPI_Comm_size");
    check(MPI_Comm_size(here, &of_here), "MPI_Comm_size");
    check(MPI_Comm_free(&here), "MPI_Comm_free");
    return of_here < of_all;
}

bool tell(std::string_view line) {
    while (!line.empty()) {
        const ssize_t written = send(launcher, line.data(), line.size(), MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        line.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

// Reads a line, and lets MPI send meanwhile what others wait for.
bool is_answered(std::string_view expected, MPI_Comm all) {
    std::string line;
    while (!line.ends_with('\n') && line.size() < longest_line) {
        pollfd answer{launcher, POLLIN, 0};
        if (poll(&answer, 1, 1) <= 0) {
            int there = 0;
            check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, all, &there, MPI_STATUS_IGNORE), "MPI_Iprobe");
            continue;
        }
        char next = 0;
        const ssize_t got = read(launcher, &next, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        line += next;
    }
    return line.starts_with(expected);
}

}  // namespace

void note_hydra() {
    const char* const text = std::getenv("PMI_FD");
    if (text == nullptr) return;
    const std::string_view digits = text;
    int found = unknown;
    struct stat status {};
    const bool is_number = std::from_chars(digits.data(), digits.data() + digits.size(), found).ec == std::errc();
    if (is_number && fstat(found, &status) == 0 && S_ISSOCK(status.st_mode)) launcher = found;
}

bool leave_by_hydra(MPI_Comm all) {
    // All ranks decide alike: some might not know how to.
    int known = launcher != unknown ? 1 : 0, known_to_all = 0;
    check(MPI_Allreduce(&known, &known_to_all, 1, MPI_INT, MPI_MIN, all), "MPI_Allreduce");
    if (known_to_all == 0 || !on_several_machines(all)) return false;
    const bool left = tell("cmd=barrier_in\n") && is_answered("cmd=barrier_out", all) && tell("cmd=finalize\n") && is_answered("cmd=finalize_ack", all);
    if (!left) throw MpiError("mpirun did not answer at the end of the job");
    return true;
}

#else

void note_hydra() {}
bool leave_by_hydra(MPI_Comm) { return false; }

#endif
}  // namespace rankpool::mpi
