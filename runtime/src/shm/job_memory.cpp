#include "shm/job_memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>

#include "os/failure.hpp"
#include <rankpool/error.hpp>

namespace rankpool::shm {
namespace {

constexpr std::size_t all_rings = std::size_t{16} << 20;
constexpr std::size_t smallest_ring = 1024;
constexpr std::size_t largest_ring = 64 * 1024;

std::size_t capacity_for(int ranks) {
    const auto pairs = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks);
    return std::clamp(std::bit_floor(all_rings / pairs), smallest_ring, largest_ring);
}

std::size_t stride_for(int ranks) { return sizeof(RingHeader) + capacity_for(ranks); }

std::size_t bytes_for(int ranks) {
    const auto n = static_cast<std::size_t>(ranks);
    return os::whole_pages(n * sizeof(RankLine) + n * n * stride_for(ranks));
}

std::shared_ptr<const os::Mapping> mapped(const os::UniqueFd& fd, int ranks) {
    return std::make_shared<os::Mapping>(fd.get(), 0, bytes_for(ranks), os::Mapping::Access::read_write);
}

}  // namespace

JobMemory::JobMemory(os::UniqueFd fd, std::shared_ptr<const os::Mapping> mapping, int ranks)
    : fd_(std::move(fd)), mapping_(std::move(mapping)), ranks_(ranks), ring_capacity_(capacity_for(ranks)) {}

JobMemory JobMemory::create(int ranks) {
    os::UniqueFd fd = os::create_memory("rankpool-job", bytes_for(ranks));
    os::reserve_memory(fd.get(), 0, bytes_for(ranks));
    auto mapping = mapped(fd, ranks);
    return JobMemory(std::move(fd), std::move(mapping), ranks);
}

JobMemory JobMemory::attach(os::UniqueFd fd, int ranks) {
    struct stat status {};
    os::check(fstat(fd.get(), &status), "fstat", "job memory");
    if (static_cast<std::size_t>(status.st_size) < bytes_for(ranks))
        throw LaunchError("the launcher's shared memory is smaller than a job of " + std::to_string(ranks) +
                          " ranks needs: launcher and program use different versions of rankpool");
    auto mapping = mapped(fd, ranks);
    return JobMemory(std::move(fd), std::move(mapping), ranks);
}

JobMemory JobMemory::share() const {
    return JobMemory(os::UniqueFd(os::check(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0), "fcntl(F_DUPFD_CLOEXEC)", "job memory")), mapping_, ranks_);
}

RankLine& JobMemory::rank_line(int rank) const {
    return *reinterpret_cast<RankLine*>(mapping_->data() + static_cast<std::size_t>(rank) * sizeof(RankLine));
}

RingHeader& JobMemory::ring(int source, int destination) const {
    const auto n = static_cast<std::size_t>(ranks_);
    const std::size_t index = static_cast<std::size_t>(source) * n + static_cast<std::size_t>(destination);
    return *reinterpret_cast<RingHeader*>(mapping_->data() + n * sizeof(RankLine) + index * stride_for(ranks_));
}

std::byte* JobMemory::ring_bytes(int source, int destination) const {
    return reinterpret_cast<std::byte*>(&ring(source, destination)) + sizeof(RingHeader);
}

Presence JobMemory::presence(int rank) const {
    // acquire: pairs with the release in set_presence, so that what a rank sent before it left is seen
    return static_cast<Presence>(rank_line(rank).presence.load(std::memory_order_acquire));
}

void JobMemory::set_presence(int rank, Presence presence) const {
    rank_line(rank).presence.store(static_cast<std::uint32_t>(presence), std::memory_order_release);
    wake_all();
}

void JobMemory::mark_gone(int rank) const {
    if (presence(rank) != Presence::left) set_presence(rank, Presence::gone);
}

void JobMemory::wake_all() const {
    for (int rank = 0; rank < ranks_; ++rank) {
        rank_line(rank).doorbell.signal();
        rank_line(rank).space.signal();
    }
}

}  // namespace rankpool::shm
