#include "mpi/machine.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <string>

#include "mpi/types.hpp"
#include "os/unique_fd.hpp"

namespace rankpool::mpi {
namespace {

// A word in memory that is offered to others, who find it through its owner's descriptor.
struct Offer {
    unsigned long long word = 0;
    long long pid = -1;
    int descriptor = -1;  // -1: nothing can be offered
    int rank = -1;
};

// The memory has an owner, who keeps it until all have looked.
Offer make_offer(int rank, os::UniqueFd& memory) {
    Offer offer;
    offer.rank = rank;
    offer.pid = getpid();
    memory.reset(memfd_create("rankpool-probe", MFD_CLOEXEC));
    const bool made = memory && getrandom(&offer.word, sizeof offer.word, 0) == sizeof offer.word &&
                      pwrite(memory.get(), &offer.word, sizeof offer.word, 0) == sizeof offer.word;
    if (made) offer.descriptor = memory.get();
    return offer;
}

bool sees(const Offer& offer) {
    if (offer.descriptor < 0) return false;
    const std::string path = "/proc/" + std::to_string(offer.pid) + "/fd/" + std::to_string(offer.descriptor);
    const os::UniqueFd descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    unsigned long long found = 0;
    // Read by a call: in a file that is not the one meant, and shorter, a look at mapped memory would be a SIGBUS.
    return descriptor && pread(descriptor.get(), &found, sizeof found, 0) == sizeof found && found == offer.word;
}

}  // namespace

comm::Neighbours neighbours(MPI_Comm communicator) {
    int rank = 0;
    check(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank");
    MPI_Comm node = MPI_COMM_NULL;
    check(MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
    int place = 0, ranks = 1;
    check(MPI_Comm_rank(node, &place), "MPI_Comm_rank");
    check(MPI_Comm_size(node, &ranks), "MPI_Comm_size");
    comm::Neighbours found{rank, rank};
    if (ranks > 1) {
        Offer offer;
        os::UniqueFd memory;
        if (place == 0) offer = make_offer(rank, memory);
        check(MPI_Bcast(&offer, sizeof offer, MPI_BYTE, 0, node), "MPI_Bcast");
        found.first = offer.rank;
        if (place != 0 && sees(offer)) found.leader = offer.rank;
        check(MPI_Barrier(node), "MPI_Barrier");  // then all have looked
    }
    check(MPI_Comm_free(&node), "MPI_Comm_free");
    return found;
}

}  // namespace rankpool::mpi
