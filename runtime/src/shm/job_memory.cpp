#include "shm/job_memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>

#include "os/failure.hpp"
#include "shm/collective_area.hpp"
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

std::size_t lines_at() { return os::whole_pages(sizeof(Directory)); }

// Where the world's area begins; it ends the fixed part.
std::size_t world_at(int ranks) {
    const auto n = static_cast<std::size_t>(ranks);
    return os::whole_pages(lines_at() + n * sizeof(RankLine) + n * n * stride_for(ranks));
}
std::size_t bytes_for(int ranks) { return world_at(ranks) + os::whole_pages(CollectiveArea::bytes_for(ranks)); }

std::shared_ptr<const os::Mapping> mapped(const os::UniqueFd& fd, int ranks) {
    for (std::size_t beyond = std::size_t{64} << 30;; beyond /= 8) {
        if (beyond < (std::size_t{16} << 20)) beyond = 0;
        try {
            return std::make_shared<os::Mapping>(fd.get(), 0, bytes_for(ranks) + beyond, os::Mapping::Access::read_write);
        } catch (const Error&) {
            if (beyond == 0) throw;  // else an address-space limit: fewer communicators
        }
    }
}

// A context is (generation, place + 1).
constexpr unsigned place_bits = 11;
static_assert(area_places < (1u << place_bits));

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
    return *reinterpret_cast<RankLine*>(mapping_->data() + lines_at() + static_cast<std::size_t>(rank) * sizeof(RankLine));
}

RingHeader& JobMemory::ring(int source, int destination) const {
    const auto n = static_cast<std::size_t>(ranks_);
    const std::size_t index = static_cast<std::size_t>(source) * n + static_cast<std::size_t>(destination);
    return *reinterpret_cast<RingHeader*>(mapping_->data() + lines_at() + n * sizeof(RankLine) + index * stride_for(ranks_));
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
    for (int rank = 0; rank < ranks_; ++rank) rank_line(rank).doorbell.notice();
}

// ---- areas ----

namespace {

std::uint64_t take_behind_world(std::atomic<std::uint64_t>& taken, std::uint64_t wanted, std::uint64_t room) {
    std::uint64_t before = taken.load(std::memory_order_relaxed);
    do {
        if (wanted > room || before > room - wanted) throw Error("shared memory: no address space is left for another communicator");
    } while (!taken.compare_exchange_weak(before, before + wanted, std::memory_order_relaxed));
    return before;
}

}  // namespace

JobMemory::Context JobMemory::create_area(int ranks) const {
    const std::uint64_t wanted = os::whole_pages(CollectiveArea::bytes_for(ranks));
    Directory& known = directory();
    // A place with fitting memory; or one without any; or one whose memory is given up for it.
    enum class Try { fitting, empty, any };
    for (const Try attempt : {Try::fitting, Try::empty, Try::any})
        for (std::uint32_t index = 0; index < area_places; ++index) {
            AreaPlace& place = known.places[index];
            const std::uint64_t has = place.bytes.load(std::memory_order_acquire);
            const bool fits = has >= wanted && has <= 4 * wanted;
            if ((attempt == Try::fitting && !fits) || (attempt == Try::empty && has != 0)) continue;
            const bool fresh = !fits;
            std::uint32_t unused = 0;
            // acq_rel: what the last user of the place wrote there comes before what the next one does
            if (!place.used.compare_exchange_strong(unused, 1, std::memory_order_acq_rel)) continue;
            if (place.bytes.load(std::memory_order_acquire) != has) {  // another was quicker
                place.used.store(0, std::memory_order_release);
                continue;
            }
            if (fresh) {
                std::uint64_t offset = 0;
                try {
                    offset = bytes_for(ranks_) + take_behind_world(known.taken, wanted, mapping_->size() - bytes_for(ranks_));
                    os::reserve_memory(fd_.get(), offset, wanted);
                } catch (...) {
                    place.used.store(0, std::memory_order_release);
                    throw;
                }
                place.offset.store(offset, std::memory_order_relaxed);
                place.bytes.store(wanted, std::memory_order_release);
            }
            const std::uint32_t generation = place.generation.fetch_add(1) + 1;
            const Context context = generation << place_bits | (index + 1);
            if (!fresh) std::fill_n(area(context, ranks), CollectiveArea::control_bytes_for(ranks), std::byte{0});
            return context;
        }
    throw Error("a job can have " + std::to_string(area_places) + " communicators at once, besides the world; there are that many");
}

std::byte* JobMemory::area(Context context, int ranks) const {
    if (context == 0) return mapping_->data() + world_at(ranks_);
    const std::uint32_t index = (context & ((1u << place_bits) - 1)) - 1;
    const std::size_t wanted = CollectiveArea::bytes_for(ranks);
    if (index < area_places) {
        const AreaPlace& place = directory().places[index];
        const std::uint64_t offset = place.offset.load(std::memory_order_acquire), bytes = place.bytes.load(std::memory_order_acquire);
        struct stat status {};
        os::check(fstat(fd_.get(), &status), "fstat", "job memory");
        const std::uint64_t end = std::min<std::uint64_t>(static_cast<std::uint64_t>(status.st_size), mapping_->size());
        if (wanted <= bytes && offset <= end && bytes <= end - offset && offset >= bytes_for(ranks_)) return mapping_->data() + offset;
    }
    throw Error("the job's memory has no area for communicator " + std::to_string(context));
}

void JobMemory::release_area(Context context) const {
    if (context == 0) return;
    directory().places[(context & ((1u << place_bits) - 1)) - 1].used.store(0, std::memory_order_release);
}

}  // namespace rankpool::shm
