// The way of results from one worker to the pool: a ring of frames (control.hpp) in the worker's segment.
//
// The ring's pages are mapped twice, one behind the other, so any stretch of up to `capacity` bytes is contiguous and
// fixed-size results are computed right where the pool will read them. A payload larger than the ring flows through it
// piece by piece. The producer owns `tail`, the consumer `head`; both only grow.
//
//   producer: write payload, then tail.store(release)    pairs with the consumer's tail.load(acquire)
//   consumer: copy payload out, then head.store(release) pairs with the producer's head.load(acquire)
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "os/memory.hpp"
#include "pool/control.hpp"
#include <rankpool/wire/buffer.hpp>

namespace rankpool::pool {

/// A worker's segment: its page, then its ring. `ring_bytes` is a power of two, at least a page.
class Segment {
  public:
    /// Memory for one worker, its space reserved.
    static os::UniqueFd create(std::size_t ring_bytes);
    Segment(int fd, std::size_t ring_bytes, os::Mapping::Access ring_access);

    WorkerPage& page() const { return *reinterpret_cast<WorkerPage*>(page_.data()); }
    /// Where a position of the ring's head or tail is.
    std::byte* place(std::uint64_t position) const { return ring_.data() + (position & (capacity() - 1)); }
    std::size_t capacity() const { return ring_.size() / 2; }

  private:
    os::Mapping page_, ring_;
};

/// The worker's end.
class RingProducer {
  public:
    explicit RingProducer(Segment& segment) : segment_(segment) {}

    /// Waits until `bytes` (at most the capacity) are free behind the tail; the place to write them.
    std::byte* reserve(std::size_t bytes);
    /// Makes `bytes` behind the tail visible.
    void commit(std::size_t bytes);
    /// A whole frame, of any size.
    void send(Frame frame, std::span<const std::byte> payload);

    /// Called whenever the pool must look for the ring to go on.
    void set_doorbell(std::function<void()> ring) { doorbell_ = std::move(ring); }
    /// Whether more than `bytes` have not been taken out yet.
    bool filled_beyond(std::size_t bytes);

  private:
    Segment& segment_;
    std::uint64_t seen_head_ = 0;  // as it was when it was last asked for: the pool's CPU writes there
    std::function<void()> doorbell_;
};

/// What the pool finds in a ring. `payload` of a frame that is larger than the ring is collected first.
struct ReceivedFrame {
    Frame header;
    std::span<const std::byte> payload;
};

/// Takes the first value off what is left of a frame of values; empty where there is no whole one.
std::optional<std::span<const std::byte>> take_value(std::span<const std::byte>& rest);

/// The pool's end. It believes nothing: impossible positions or sizes throw Error, which costs that worker its life.
class RingConsumer {
  public:
    explicit RingConsumer(Segment& segment) : segment_(segment) {}

    /// Hands every complete frame to `take`, then frees its space. Returns whether anything moved.
    bool drain(const std::function<void(const ReceivedFrame&)>& take);
    /// Of a dead worker: the first bytes of the results that lie behind the tail.
    std::span<const std::byte> behind_tail(std::size_t bytes) const;

  private:
    Segment& segment_;
    std::uint64_t head_ = 0;
    std::size_t unannounced_ = 0;  // taken out since the producer was last told
    Frame partial_{};          // a frame that is larger than the ring, being collected
    wire::Buffer collected_;
    bool collecting_ = false;
};

}  // namespace rankpool::pool
