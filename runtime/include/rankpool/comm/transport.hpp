// Bytes between the ranks of a communicator: the one interface that shared memory and MPI both implement. It knows
// nothing of types and tasks.
//
// One thread at a time uses a transport (wake() excepted); several threads may each use one of their own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <rankpool/error.hpp>
#include <rankpool/status.hpp>
#include <rankpool/wire/buffer.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::comm {

inline constexpr int any = -1;
static_assert(any == any_source && any == any_tag);

/// Tags below this one belong to users; those from it on to the library. `any` stands for the users' tags.
inline constexpr int first_internal_tag = 1 << 20;
enum InternalTag : int { tag_pool = first_internal_tag, tag_barrier, tag_bulk, tag_end };

struct Message {
    int source = any;
    int tag = any;
    wire::Buffer bytes;
    std::uint64_t number = 0;  // of those that arrived, in their order
};

/// Something that was begun. Once `done`, a received message lies in `message`.
class Operation {
  public:
    virtual ~Operation() = default;
    /// Whether it is complete by now; makes progress.
    virtual bool test() = 0;
    virtual void wait() = 0;
    /// Of a receive that is complete.
    virtual Message take() { return {}; }
};

inline bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
    const std::less<const std::byte*> before;
    return !a.empty() && !b.empty() && before(a.data(), b.data() + b.size()) && before(b.data(), a.data() + a.size());
}

using Sizes = std::span<const std::size_t>;
/// Given the sizes in bytes of the blocks that arrive, in rank order: where they are to be put, one behind the other.
using Place = std::function<std::byte*(Sizes)>;

/// A reduction's operation on rows of elements. `apply(op, left, right, count)`: left[i] = op(left[i], right[i]). Rows
/// need not be aligned.
struct Fold {
    enum class Native : std::uint8_t { no, sum, product, minimum, maximum, logical_and, logical_or, logical_xor, bit_and, bit_or, bit_xor, custom };
    enum class Element : std::uint8_t { bytes, boolean, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f80 };

    std::size_t element_size = 1;
    void (*apply)(const void* op, std::byte* left, const std::byte* right, std::size_t count) = nullptr;
    const void* op = nullptr;
    Native native = Native::no;  // the transport may use an algorithm, and an order, of its own
    Element element = Element::bytes;
    bool may_throw = true;
    const char* name = "";

    void operator()(std::byte* left, const std::byte* right, std::size_t count) const { apply(op, left, right, count); }
};

/// Ranks of a communicator: the smallest on one's machine, and the smallest there that really shares memory with it.
struct Neighbours {
    int first = 0, leader = 0;
};

class Transport {
  public:
    virtual ~Transport() = default;

    virtual int rank() const = 0;
    virtual int size() const = 0;
    /// Collective.
    virtual Neighbours neighbours() const = 0;

    /// Whether another thread may use a communicator of its own at the same time.
    virtual bool several_threads() const { return true; }

    // ---- messages ----

    /// Returns when `bytes` may be reused.
    virtual void send(int destination, int tag, std::span<const std::byte> bytes) = 0;
    /// The same for a message whose receiver does not know its size.
    virtual void send_buffer(int destination, int tag, wire::Buffer bytes) { send(destination, tag, bytes); }
    /// The same, taking in what arrives meanwhile: two ranks may send to each other, whatever the size.
    virtual void post(int destination, int tag, std::span<const std::byte> bytes) { send(destination, tag, bytes); }
    /// The next message from `source` with `tag` (`any` for all), in the order sent; empty when there is none yet.
    virtual std::optional<Message> try_receive(int source, int tag) = 0;
    /// Waits for it. Throws Error when `source` has left or died.
    virtual Message receive(int source, int tag) = 0;
    /// The same for a message of known size. Throws Error when it has another one.
    virtual Status receive_into(int source, int tag, std::span<std::byte> to) {
        const Message message = receive(source, tag);
        if (message.bytes.size() != to.size()) wrong_size(message.source, message.tag, message.bytes.size(), to.size());
        wire::copy_bytes(to.data(), message.bytes.data(), to.size());
        return {message.source, message.tag, to.size()};
    }
    /// Null where it is complete at once.
    virtual std::unique_ptr<Operation> start_send(int destination, int tag, wire::Buffer bytes) = 0;
    /// `bytes`: the size of the message, where it is known.
    virtual std::unique_ptr<Operation> start_receive(int source, int tag, std::optional<std::size_t> bytes) = 0;
    virtual std::optional<Status> try_probe(int source, int tag) = 0;
    virtual Status probe(int source, int tag) = 0;
    /// Sleeps until something may have arrived, wake() was called, or `limit` has passed. Where nothing tells of an arrival it
    /// returns for a look `within` that time, or a little sooner.
    virtual void wait(std::chrono::nanoseconds limit, std::chrono::nanoseconds within) = 0;
    /// Ends a wait() of another thread.
    virtual void wake() = 0;

    // ---- collectives, of blocks of one size ----

    virtual void barrier() = 0;
    virtual void bcast(std::span<std::byte> bytes, int root) = 0;
    /// At root, `send` holds a block for each rank.
    virtual void scatter(std::span<const std::byte> send, std::span<std::byte> receive, int root) = 0;
    /// At root, `receive` has room for a block of each rank.
    virtual void gather(std::span<const std::byte> send, std::span<std::byte> receive, int root) = 0;
    virtual void allgather(std::span<const std::byte> send, std::span<std::byte> receive) = 0;
    virtual void alltoall(std::span<const std::byte> send, std::span<std::byte> receive) = 0;
    /// Of `receive.size() / fold.element_size` elements, in rank order from the left; `receive` counts at root.
    virtual void reduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold, int root) = 0;
    virtual void allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold) = 0;

    // ---- collectives, of blocks of any size: multiples of `unit` ----

    /// Root's bytes on every rank; `place` is not called at root.
    virtual void bcastv(std::span<const std::byte> send, const Place& place, int root, std::size_t unit) = 0;
    /// At root, `send` holds the blocks, one behind the other, of these `sizes`.
    virtual void scatterv(const std::byte* send, Sizes sizes, const Place& place, int root, std::size_t unit) = 0;
    /// `place` is called at root only.
    virtual void gatherv(std::span<const std::byte> send, const Place& place, int root, std::size_t unit) = 0;
    virtual void allgatherv(std::span<const std::byte> send, const Place& place, std::size_t unit) = 0;
    virtual void alltoallv(const std::byte* send, Sizes sizes, const Place& place, std::size_t unit) = 0;

    // ---- communicators, jobs ----

    /// Collective. A communicator of the ranks that gave the same `color`, by `key` and then by rank; null without one.
    virtual std::shared_ptr<Transport> split(std::optional<int> color, int key) = 0;
    /// Collective. The ranks that share memory with this one.
    virtual std::shared_ptr<Transport> node() = 0;
    /// Ends the whole job with this exit code, now.
    [[noreturn]] virtual void abort(int exit_code) = 0;
    /// Of a job's own transport: this rank is through. From now on others' waits for it end with an error, where the transport
    /// can tell; its own only wait for the others to come to the end too.
    virtual void begin_end() {}
    /// Collective, of a job's own transport: the orderly end. Returns the first code by rank that is not 0. Nothing may be called after it.
    virtual int finish(int exit_code) = 0;

  protected:
    [[noreturn]] static void wrong_size(int source, int tag, std::size_t bytes, std::size_t expected) {
        throw Error("a message from rank " + std::to_string(source) + " with tag " + std::to_string(tag) + " has " + std::to_string(bytes) +
                    " bytes, but the receive is for a value of " + std::to_string(expected) + "; do both sides name the same type?");
    }
};

}  // namespace rankpool::comm
