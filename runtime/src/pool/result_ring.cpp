#include "pool/result_ring.hpp"

#include <algorithm>
#include <cstring>

#include <rankpool/error.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::pool {

os::UniqueFd Segment::create(std::size_t ring_bytes) {
    os::UniqueFd fd = os::create_memory("rankpool-worker", os::page_size() + ring_bytes);
    os::reserve_memory(fd.get(), 0, os::page_size() + ring_bytes);
    return fd;
}

Segment::Segment(int fd, std::size_t ring_bytes, os::Mapping::Access ring_access)
    : page_(fd, 0, os::page_size(), os::Mapping::Access::read_write),
      ring_(os::Mapping::mirrored(fd, os::page_size(), ring_bytes, ring_access)) {
    static_assert(sizeof(WorkerPage) <= 4096);
}

bool RingProducer::filled_beyond(std::size_t bytes) {
    const shm::RingHeader& ring = segment_.page().ring;
    const std::uint64_t tail = ring.tail.load(std::memory_order_relaxed);
    if (tail - seen_head_ <= bytes) return false;
    seen_head_ = ring.head.load(std::memory_order_acquire);
    return tail - seen_head_ > bytes;
}

std::byte* RingProducer::reserve(std::size_t bytes) {
    WorkerPage& page = segment_.page();
    const std::size_t most = segment_.capacity() - bytes;
    while (filled_beyond(most)) {
        const auto ticket = page.space.ticket();
        if (!filled_beyond(most)) break;
        if (doorbell_) doorbell_();
        // No limit is needed: when the pool is gone, so is this process.
        page.space.wait(ticket, {}, std::chrono::seconds(1));
    }
    return segment_.place(page.ring.tail.load(std::memory_order_relaxed));
}

void RingProducer::commit(std::size_t bytes) {
    auto& tail = segment_.page().ring.tail;
    tail.store(tail.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
}

void RingProducer::send(Frame frame, std::span<const std::byte> payload) {
    frame.bytes = payload.size();
    const std::size_t whole = aligned_frame(sizeof frame + payload.size());
    if (whole <= segment_.capacity() / 2) {
        std::byte* place = reserve(whole);
        std::memcpy(place, &frame, sizeof frame);
        wire::copy_bytes(place + sizeof frame, payload.data(), payload.size());
        commit(whole);
        return;
    }
    std::memcpy(reserve(sizeof frame), &frame, sizeof frame);
    commit(sizeof frame);
    const std::size_t piece = segment_.capacity() / 4;
    while (!payload.empty()) {
        const auto part = payload.first(std::min(piece, payload.size()));
        payload = payload.subspan(part.size());
        // Only the last piece may be uneven, so that the frame ends aligned.
        const std::size_t bytes = payload.empty() ? aligned_frame(part.size()) : part.size();
        wire::copy_bytes(reserve(bytes), part.data(), part.size());
        commit(bytes);
        if (doorbell_) doorbell_();
    }
}

std::optional<std::span<const std::byte>> take_value(std::span<const std::byte>& rest) {
    std::uint64_t length = 0;
    if (rest.size() < sizeof length) return std::nullopt;
    std::memcpy(&length, rest.data(), sizeof length);
    if (length > rest.size() || value_room(static_cast<std::size_t>(length)) > rest.size()) return std::nullopt;
    const auto value = rest.subspan(sizeof length, static_cast<std::size_t>(length));
    rest = rest.subspan(value_room(value.size()));
    return value;
}

bool RingConsumer::drain(const std::function<void(const ReceivedFrame&)>& take) {
    WorkerPage& page = segment_.page();
    bool moved = false;
    for (;;) {
        const std::uint64_t tail = page.ring.tail.load(std::memory_order_acquire);
        if (tail < head_ || tail - head_ > segment_.capacity() || tail % frame_alignment != 0)
            throw Error("a worker's result ring holds impossible positions");
        std::size_t available = tail - head_;
        if (available == 0) return moved;
        const std::byte* place = segment_.place(head_);
        std::size_t taken = 0;
        if (!collecting_) {
            if (available < sizeof(Frame)) throw Error("a worker's result ring holds half a frame");
            std::memcpy(&partial_, place, sizeof partial_);
            if (partial_.bytes > std::uint64_t{1} << 46) throw Error("a worker announces a result of impossible size");
            const std::size_t whole = aligned_frame(sizeof(Frame) + partial_.bytes);
            if (whole <= available) {
                take({partial_, {place + sizeof(Frame), static_cast<std::size_t>(partial_.bytes)}});
                taken = whole;
            } else if (whole <= segment_.capacity() / 2) {
                throw Error("a worker's result ring holds half a frame");
            } else {
                collecting_ = true;
                collected_.clear();
                taken = sizeof(Frame);
            }
        } else {
            const std::size_t missing = partial_.bytes - collected_.size();
            const std::size_t part = std::min(missing, available);
            collected_.append(place, part);
            taken = part == missing ? aligned_frame(part) : part;
            if (taken > available) throw Error("a worker's result ring holds half a frame");
            if (part == missing) {
                collecting_ = false;
                take({partial_, {collected_.data(), collected_.size()}});
                collected_ = wire::Buffer();
            }
        }
        moved = true;
        head_ += taken;
        page.ring.head.store(head_, std::memory_order_release);
        // The producer may be waiting for room; a signal for each of many small frames would cost more than they do.
        unannounced_ += taken;
        if (unannounced_ >= segment_.capacity() / 8 || taken == available) {
            page.space.signal();
            unannounced_ = 0;
        }
    }
}

std::span<const std::byte> RingConsumer::behind_tail(std::size_t bytes) const {
    if (bytes > segment_.capacity() - aligned_frame(sizeof(Frame))) return {};
    const std::uint64_t tail = segment_.page().ring.tail.load(std::memory_order_acquire);
    return {segment_.place(tail + sizeof(Frame)), bytes};
}

}  // namespace rankpool::pool
