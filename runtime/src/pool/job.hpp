// A piece of work in untyped form: the function, its items, and who takes the results.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "os/byte_stream.hpp"
#include <rankpool/task/descriptor.hpp>
#include <rankpool/worker.hpp>

namespace rankpool::pool {

/// A function that can travel: the reference of its descriptor, its bytes, and the exceptions that were registered when
/// it was made. `bytes` is what workers and other ranks get.
struct Function {
    static constexpr std::size_t alignment = 64;  // of the function inside of `bytes`

    std::vector<std::byte> bytes;
    std::uint32_t item_size = 0;    // 0: serialized
    std::uint32_t result_size = 0;  // 0: serialized

    static Function pack(const task::Descriptor& descriptor, std::span<const std::byte> function);
};

/// In a worker: the function rebuilt from its bytes.
class OpenFunction {
  public:
    /// Throws Error when the reference leads nowhere, and what the function's own deserialization throws.
    explicit OpenFunction(std::span<const std::byte> packed);
    ~OpenFunction() { descriptor_->close(function_); }
    OpenFunction(const OpenFunction&) = delete;
    OpenFunction& operator=(const OpenFunction&) = delete;

    const task::Descriptor& descriptor() const { return *descriptor_; }
    void* function() const { return function_; }

  private:
    const task::Descriptor* descriptor_ = nullptr;
    void* function_ = nullptr;
};

/// Runs a packed function without arguments: a pool's initializer. Throws what it throws.
void run_once(std::span<const std::byte> packed);

/// The items of a job, as indices [first, first + count) of the user's call.
struct Items {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    const std::byte* bytes = nullptr;     // fixed-size: count of them; serialized: all of them
    const std::uint64_t* ends = nullptr;  // serialized: where each ends in `bytes`; null for fixed-size items
    std::uint32_t item_size = 0;          // 0: serialized
    bool stays = false;                   // `bytes` stay where they are until the job is over

    std::size_t byte_count() const { return ends != nullptr ? (count == 0 ? 0 : ends[count - 1]) : count * item_size; }
    /// The part [begin, end) of them, in the indices of the call.
    std::span<const std::byte> part(std::uint64_t begin, std::uint64_t end) const;
};

/// An item's error as it travels: wire::encode_exception's bytes, and the worker it happened in.
struct Failure {
    std::vector<std::byte> error;
    WorkerInfo worker;
};
Failure failure_of(const std::exception_ptr& error, const WorkerInfo& worker = {});
/// The exception of an item, or of a call as a whole.
std::exception_ptr exception_of(const Failure& failure, std::optional<std::size_t> item);
bool is_broken_pool(const std::exception_ptr& error);

/// Takes results, each index once, in any order. Called by whoever drives the pool, with the pool locked: must be quick
/// and must not call back.
class Sink {
  public:
    virtual ~Sink() = default;
    virtual void fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) = 0;
    /// Fixed-size results that lie where JobOptions::rows wanted them.
    virtual void placed(std::uint64_t first, std::uint64_t count) = 0;
    virtual void value(std::uint64_t index, std::span<const std::byte> bytes) = 0;
    /// Those from `first` on, one behind the other.
    virtual void values(std::uint64_t first, std::span<const std::span<const std::byte>> all) {
        for (const auto bytes : all) value(first++, bytes);
    }
    virtual void failed(std::uint64_t index, Failure failure) = 0;
    /// Every index that has nothing yet fails with this; nothing comes after it.
    virtual void rest_failed(Failure failure) = 0;
    /// Nothing of it will come, not even `over`: it was taken back, for somebody who waited for that no longer.
    virtual void taken_back() {}
    /// For now that was all: what a sink gathers should go out.
    virtual void pause() {}
};

enum class InputMode : std::uint32_t { arena, single_copy, heap };

/// What a worker reads in the arena about a job; the function's bytes lie elsewhere in it. It stays until no worker
/// works on the job.
struct alignas(64) JobBlock {  // as items may be that lie behind it
    static constexpr std::uint64_t expected_magic = 0x626f6a'6c6f6f70;  // "pooljob"
    std::uint64_t magic = expected_magic;
    std::uint64_t id = 0;
    std::uint64_t function_id = 0;
    std::uint64_t function_offset = 0, function_bytes = 0;
    std::uint64_t first = 0, count = 0;
    std::uint32_t item_size = 0;
    InputMode mode = InputMode::arena;
    std::uint64_t items = 0;  // offset in the arena or heap, or address in the pool's process
    std::uint64_t item_bytes = 0;
    std::uint64_t ends = 0;  // offset in the arena of the table of ends, where items are serialized
    std::uint64_t results = nowhere;  // offset in the heap where the result of item `first` belongs; else they go through the ring
    static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
    std::uint32_t wanted_late = 0;  // JobOptions::wanted_late
    /// Set by the pool, before the caller's memory goes: nobody wants what was not started. A worker looks after it has
    /// read its input, so that it never runs an item on memory that belongs to something else by then.
    std::atomic<std::uint32_t> dropped{0};
    /// Set by the pool: its items should return early if they can.
    std::atomic<std::uint32_t> draining{0};
};

}  // namespace rankpool::pool
