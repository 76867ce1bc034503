#include "shm/endpoint.hpp"

#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "os/failure.hpp"
#include "spmd/departure.hpp"
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::shm {
namespace {

// From this size on the receiver copies out of the sender's memory: below it, two copies through a warm ring are faster
// than a system call and an answer.
constexpr std::size_t single_copy_bytes = std::size_t{32} << 10;
constexpr std::size_t frame_alignment = 16;
constexpr std::uint64_t impossible_bytes = std::uint64_t{1} << 46;
using namespace std::chrono_literals;

enum class Kind : std::uint16_t { inline_bytes = 1, elsewhere = 2, answer = 3, try_reading = 4, readable = 5, not_readable = 6 };

std::size_t aligned(std::size_t bytes) { return (bytes + frame_alignment - 1) / frame_alignment * frame_alignment; }

}  // namespace

struct Endpoint::Header {
    Kind kind;
    std::uint16_t unused;
    Context context;
    std::int32_t tag;
    std::uint32_t number;   // elsewhere, answer: which message
    std::uint64_t bytes;
    std::uint64_t address;  // elsewhere, try_reading: where in the sender's process
};

struct Endpoint::Outgoing {
    int destination = comm::any;
    Header header{};
    std::span<const std::byte> bytes;
    wire::Buffer owned;        // what `bytes` refer to, where they are not the caller's
    std::size_t written = 0;   // of header, bytes and padding
    bool done = false;
};

// A message that is flowing through a ring.
struct Endpoint::Incoming {
    bool active = false;
    Context context = 0;
    comm::Message message;
    std::size_t missing = 0;  // payload bytes
    std::size_t padding = 0;  // behind them
};

Endpoint::Endpoint(JobMemory memory, int rank)
    : memory_(std::move(memory)),
      rank_(rank),
      cpus_(memory_.bound() ? memory_.ranks() : process_cpu_count()),
      patience_(Patience::for_runners(memory_.ranks(), cpus_)),
      reach_(static_cast<std::size_t>(memory_.ranks())),
      outgoing_(static_cast<std::size_t>(memory_.ranks())),
      incoming_(static_cast<std::size_t>(memory_.ranks())) {
    static_assert(sizeof(Header) == 32 && sizeof(Header) % frame_alignment == 0);
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // large messages: lets the other ranks read ours
    RankLine& own = memory_.rank_line(rank_);
    own.pid.store(getpid(), std::memory_order_relaxed);
    own.probe.store(reinterpret_cast<std::uint64_t>(&probe_word_), std::memory_order_release);
    memory_.set_presence(rank_, Presence::present);
}

Endpoint::~Endpoint() { memory_.set_presence(rank_, Presence::left); }

// ---- rings ----

std::size_t Endpoint::readable(int source) const {
    const RingHeader& ring = memory_.ring(source, rank_);
    const std::uint64_t filled = ring.tail.load(std::memory_order_acquire) - ring.head.load(std::memory_order_relaxed);
    if (filled > memory_.ring_capacity())
        throw Error("rank " + std::to_string(source) + " wrote impossible positions into the job's memory");
    return static_cast<std::size_t>(filled);
}

std::size_t Endpoint::writable(int destination) const {
    const RingHeader& ring = memory_.ring(rank_, destination);
    const std::uint64_t filled = ring.tail.load(std::memory_order_relaxed) - ring.head.load(std::memory_order_seq_cst);
    if (filled > memory_.ring_capacity())
        throw Error("rank " + std::to_string(destination) + " wrote impossible positions into the job's memory");
    return memory_.ring_capacity() - static_cast<std::size_t>(filled);
}

void Endpoint::read_ring(int source, std::byte* to, std::size_t bytes) {
    RingHeader& ring = memory_.ring(source, rank_);
    const std::byte* from = memory_.ring_bytes(source, rank_);
    const std::uint64_t head = ring.head.load(std::memory_order_relaxed);
    const std::size_t at = head % memory_.ring_capacity();
    const std::size_t first = std::min(bytes, memory_.ring_capacity() - at);
    if (to != nullptr && bytes > 0) {
        wire::copy_bytes(to, from + at, first);
        wire::copy_bytes(to + first, from, bytes - first);
    }
    // seq_cst: this rank's new head and its look at `starved`, against the producer's `starved` and its look at the head.
    ring.head.store(head + bytes, std::memory_order_seq_cst);
    if (ring.starved.load(std::memory_order_seq_cst) != 0) {
        ring.starved.store(0, std::memory_order_relaxed);
        memory_.rank_line(source).doorbell.signal();
    }
}

// As much as there is room for.
std::size_t Endpoint::write_ring(int destination, std::span<const std::byte> bytes) {
    RingHeader& ring = memory_.ring(rank_, destination);
    std::size_t room = writable(destination);
    if (room < bytes.size()) {
        ring.starved.store(1, std::memory_order_seq_cst);
        room = writable(destination);
    }
    const auto part = bytes.first(std::min(room, bytes.size()));
    if (part.empty()) return 0;
    std::byte* to = memory_.ring_bytes(rank_, destination);
    const std::uint64_t tail = ring.tail.load(std::memory_order_relaxed);
    const std::size_t at = tail % memory_.ring_capacity();
    const std::size_t first = std::min(part.size(), memory_.ring_capacity() - at);
    wire::copy_bytes(to + at, part.data(), first);
    wire::copy_bytes(to, part.data() + first, part.size() - first);
    ring.tail.store(tail + part.size(), std::memory_order_release);
    return part.size();
}

// ---- moving ----

// What there is room for of the queue to one rank; whether anything moved.
bool Endpoint::move_out(int destination) {
    auto& queue = outgoing_[static_cast<std::size_t>(destination)];
    bool moved = false;
    while (!queue.empty()) {
        static constexpr std::byte zeros[frame_alignment]{};
        Outgoing& next = *queue.front();
        const std::size_t payload = next.header.kind == Kind::inline_bytes ? next.bytes.size() : 0;
        const std::size_t whole = sizeof(Header) + aligned(payload);
        while (next.written < whole) {
            std::span<const std::byte> part;
            if (next.written < sizeof(Header))
                part = std::as_bytes(std::span(&next.header, 1)).subspan(next.written);
            else if (next.written < sizeof(Header) + payload)
                part = next.bytes.subspan(next.written - sizeof(Header));
            else
                part = {zeros, whole - next.written};
            const std::size_t written = write_ring(destination, part);
            next.written += written;
            moved = moved || written > 0;
            if (written < part.size()) break;
        }
        if (next.written < whole) break;
        if (next.header.kind == Kind::elsewhere) {
            unanswered_.emplace(next.header.number, queue.front());
        } else {
            next.done = true;
            busy_.fetch_sub(1, std::memory_order_relaxed);
        }
        queue.pop_front();
    }
    if (moved) memory_.rank_line(destination).doorbell.signal();
    return moved;
}

void Endpoint::deliver(Context context, comm::Message message) {
    if (mailboxes_[context].deliver(std::move(message))) posted_.fetch_sub(1, std::memory_order_relaxed);
}

bool Endpoint::take_in_from(int source) {
    Incoming& incoming = incoming_[static_cast<std::size_t>(source)];
    bool moved = false;
    for (;;) {
        std::size_t available = readable(source);
        if (incoming.active) {
            const std::size_t part = std::min(available, incoming.missing);
            if (part > 0) read_ring(source, incoming.message.bytes.grow(part), part);
            incoming.missing -= part;
            available -= part;
            moved = moved || part > 0;
            if (incoming.missing > 0 || available < incoming.padding) return moved;
            if (incoming.padding > 0) read_ring(source, nullptr, incoming.padding);
            incoming.active = false;
            deliver(incoming.context, std::move(incoming.message));
            moved = true;
            continue;
        }
        if (available < sizeof(Header)) return moved;
        Header header;
        read_ring(source, reinterpret_cast<std::byte*>(&header), sizeof header);
        moved = true;
        if (header.bytes > impossible_bytes)
            throw Error("rank " + std::to_string(source) + " announced a message of impossible size");
        switch (header.kind) {
            case Kind::inline_bytes:
                incoming.message = {source, header.tag, {}};
                incoming.context = header.context;
                incoming.missing = static_cast<std::size_t>(header.bytes);
                incoming.padding = aligned(incoming.missing) - incoming.missing;
                incoming.active = true;
                break;
            case Kind::elsewhere: {
                comm::Message message{source, header.tag, {}};
                copy_from(source, header.address, message.bytes.grow(static_cast<std::size_t>(header.bytes)),
                          static_cast<std::size_t>(header.bytes));
                deliver(header.context, std::move(message));
                enqueue_control(source, {Kind::answer, 0, 0, 0, header.number, 0, 0});
                break;
            }
            case Kind::answer: {
                const auto sent = unanswered_.find(header.number);
                if (sent == unanswered_.end()) throw Error("rank " + std::to_string(source) + " answers a message that was not sent to it");
                sent->second->done = true;
                unanswered_.erase(sent);
                busy_.fetch_sub(1, std::memory_order_relaxed);
                break;
            }
            case Kind::try_reading: enqueue_control(source, {can_read(source) ? Kind::readable : Kind::not_readable, 0, 0, 0, 0, 0, 0}); break;
            case Kind::readable: reach_[static_cast<std::size_t>(source)] = Reach::readable; break;
            case Kind::not_readable: reach_[static_cast<std::size_t>(source)] = Reach::not_readable; break;
            default: throw Error("rank " + std::to_string(source) + " sent something unknown through the job's memory");
        }
    }
}

bool Endpoint::move_all() {
    bool moved = false;
    for (int other = 0; other < memory_.ranks(); ++other) {
        if (other == rank_) continue;
        moved = take_in_from(other) || moved;
        if (!outgoing_[static_cast<std::size_t>(other)].empty()) moved = move_out(other) || moved;
    }
    if (moved && sleepers_ > 0) wake();  // what moved may be another thread's
    return moved;
}

bool Endpoint::progress() {
    Lock lock(mutex_);
    while (move_all()) {
    }
    return has_business();
}

bool Endpoint::take_in() {
    Lock lock(mutex_);
    return move_all();
}

// ---- waiting ----

bool Endpoint::departed(int rank) const {
    const Presence presence = memory_.presence(rank);
    return presence == Presence::left || presence == Presence::gone || (presence == Presence::returned && !ending_);
}

void Endpoint::report_departed(int rank, const std::string& doing) const {
    const bool left = rank != comm::any && memory_.presence(rank) != Presence::gone;
    const std::string who = rank == comm::any ? "any other rank; all of them have" : "rank " + std::to_string(rank) + ", which has";
    throw comm::RankDeparted("rank " + std::to_string(rank_) + " waits to " + doing + " " + who + (left ? " left the job" : " ended"));
}

// Waits until `ready`, moving what can be moved. `peer` is who has to make it ready; any: somebody of the group, this rank
// itself not among them.
template <class Ready>
void Endpoint::await(Lock& lock, int peer, std::span<const int> group, const char* doing, Ready&& ready) {
    WaitWord& doorbell = memory_.rank_line(rank_).doorbell;
    const auto nobody_left = [&] {
        if (peer != comm::any) return peer == rank_ || departed(peer);
        return std::all_of(group.begin(), group.end(), [&](int other) { return other == rank_ || departed(other); });
    };
    for (;;) {
        const auto ticket = doorbell.ticket();
        if (ready()) return;
        if (move_all()) continue;
        if (nobody_left()) {
            // What they sent before they went is seen now, if there is anything.
            if (move_all() || ready()) continue;
            if (peer == rank_ || group.size() == 1)
                throw Error("rank " + std::to_string(rank_) + " waits to " + doing + " itself, and has sent itself nothing that fits: nobody else can");
            report_departed(peer, doing);
        }
        ++sleepers_;
        lock.unlock();
        doorbell.wait(ticket, patience_, 100ms);
        lock.lock();
        --sleepers_;
    }
}

void Endpoint::wait(Context context, WaitWord::Ticket seen, std::chrono::nanoseconds limit) {
    Lock lock(mutex_);
    if (mailboxes_[context].has_messages()) return;
    ++sleepers_;
    lock.unlock();
    memory_.rank_line(rank_).doorbell.wait(seen, patience_, limit);
    lock.lock();
    --sleepers_;
}

void Endpoint::begin_end() {
    ending_ = true;
    flush();  // or who waits for what is on its way would take this rank for gone
    memory_.set_presence(rank_, Presence::returned);
}

void Endpoint::flush() {
    Lock lock(mutex_);
    for (int other = 0; other < memory_.ranks(); ++other) {
        auto& queue = outgoing_[static_cast<std::size_t>(other)];
        await(lock, other, {}, "send to", [&] { return queue.empty(); });
    }
    while (!unanswered_.empty()) {
        const std::shared_ptr<Outgoing> first = unanswered_.begin()->second;
        await(lock, first->destination, {}, "send to", [&] { return first->done; });
    }
}

// ---- sending ----

void Endpoint::enqueue_control(int destination, const Header& header) {
    auto control = std::make_shared<Outgoing>();
    control->destination = destination;
    control->header = header;
    busy_.fetch_add(1, std::memory_order_relaxed);
    auto& queue = outgoing_[static_cast<std::size_t>(destination)];
    queue.push_back(std::move(control));
    move_out(destination);
}

std::shared_ptr<Endpoint::Outgoing> Endpoint::enqueue(Context context, int destination, int tag, std::span<const std::byte> bytes) {
    auto outgoing = std::make_shared<Outgoing>();
    outgoing->destination = destination;
    outgoing->bytes = bytes;
    if (destination == rank_) {
        comm::Message own{rank_, tag, {}};
        own.bytes.append(bytes.data(), bytes.size());
        deliver(context, std::move(own));
        if (sleepers_ > 0) wake();
        outgoing->done = true;
        return outgoing;
    }
    Reach& reach = reach_[static_cast<std::size_t>(destination)];
    const bool large = bytes.size() >= single_copy_bytes;
    if (large && reach == Reach::unknown) {
        reach = Reach::asked;
        enqueue_control(destination, {Kind::try_reading, 0, 0, 0, 0, 0, 0});
    }
    const bool elsewhere = large && reach == Reach::readable;
    outgoing->header = {elsewhere ? Kind::elsewhere : Kind::inline_bytes, 0, context, tag, 0, bytes.size(), 0};
    if (elsewhere) {
        outgoing->header.number = next_number_++;
        outgoing->header.address = reinterpret_cast<std::uint64_t>(bytes.data());
    }
    busy_.fetch_add(1, std::memory_order_relaxed);
    outgoing_[static_cast<std::size_t>(destination)].push_back(outgoing);
    move_out(destination);
    return outgoing;
}

void Endpoint::send(Context context, int destination, int tag, std::span<const std::byte> bytes) {
    Lock lock(mutex_);
    const auto outgoing = enqueue(context, destination, tag, bytes);
    try {
        await(lock, destination, {}, "send to", [&] { return outgoing->done; });
    } catch (...) {
        // Its bytes go away.
        if (std::erase(outgoing_[static_cast<std::size_t>(destination)], outgoing) + unanswered_.erase(outgoing->header.number) > 0)
            busy_.fetch_sub(1, std::memory_order_relaxed);
        throw;
    }
}

std::shared_ptr<Endpoint::Outgoing> Endpoint::start_send(Context context, int destination, int tag, wire::Buffer bytes) {
    Lock lock(mutex_);
    const std::span<const std::byte> view = bytes;
    auto outgoing = enqueue(context, destination, tag, view);
    outgoing->owned = std::move(bytes);
    return outgoing;
}

bool Endpoint::is_sent(const Outgoing& outgoing) {
    Lock lock(mutex_);
    while (!outgoing.done && move_all()) {
    }
    return outgoing.done;
}

void Endpoint::wait_sent(const Outgoing& outgoing) {
    Lock lock(mutex_);
    await(lock, outgoing.destination, {}, "send to", [&] { return outgoing.done; });
}

// ---- receiving ----

std::optional<comm::Message> Endpoint::try_receive(Context context, int source, int tag, WaitWord::Ticket& seen) {
    Lock lock(mutex_);
    seen = memory_.rank_line(rank_).doorbell.ticket();
    move_all();
    return mailboxes_[context].take(source, tag);
}

comm::Message Endpoint::receive(Context context, int source, int tag, std::span<const int> group) {
    Lock lock(mutex_);
    comm::Mailbox& mailbox = mailboxes_[context];
    std::optional<comm::Message> message;
    await(lock, source, group, "receive from", [&] { return (message = mailbox.take(source, tag)).has_value(); });
    return std::move(*message);
}

std::shared_ptr<comm::Posted> Endpoint::start_receive(Context context, int source, int tag) {
    Lock lock(mutex_);
    auto posted = std::make_shared<comm::Posted>(comm::Posted{source, tag, false, {}});
    move_all();
    comm::Mailbox& mailbox = mailboxes_[context];
    if (!mailbox.fill(*posted)) {
        mailbox.post(posted);
        posted_.fetch_add(1, std::memory_order_relaxed);
    }
    return posted;
}

bool Endpoint::is_received(const comm::Posted& posted) {
    Lock lock(mutex_);
    while (!posted.done && move_all()) {
    }
    return posted.done;
}

void Endpoint::wait_received(const comm::Posted& posted, std::span<const int> group) {
    Lock lock(mutex_);
    await(lock, posted.source, group, "receive from", [&] { return posted.done; });
}

void Endpoint::withdraw(Context context, const std::shared_ptr<comm::Posted>& posted) {
    Lock lock(mutex_);
    // Fewer receives wait: this one, or another, which gets its message.
    posted_.fetch_sub(mailboxes_[context].withdraw(posted), std::memory_order_relaxed);
}

std::optional<Status> Endpoint::try_probe(Context context, int source, int tag) {
    Lock lock(mutex_);
    move_all();
    return mailboxes_[context].look(source, tag);
}

Status Endpoint::probe(Context context, int source, int tag, std::span<const int> group) {
    Lock lock(mutex_);
    const comm::Mailbox& mailbox = mailboxes_[context];
    std::optional<Status> status;
    await(lock, source, group, "probe", [&] { return (status = mailbox.look(source, tag)).has_value(); });
    return *status;
}

void Endpoint::forget(Context context) {
    Lock lock(mutex_);
    mailboxes_.erase(context);
}

// ---- other ranks' memory ----

// Calls `move` with places [at, at + size) until all bytes are moved.
template <class Move>
void Endpoint::move_in_pieces(int rank, std::size_t bytes, const char* call, Move&& move) const {
    constexpr std::size_t piece = std::size_t{1} << 30;  // one call moves less than 2 GiB
    for (std::size_t done = 0; done < bytes;) {
        const ssize_t moved = move(done, std::min<std::size_t>(piece, bytes - done));
        if (moved <= 0) {
            if (departed(rank)) report_departed(rank, "copy from the memory of");
            os::fail(call, "the memory of rank " + std::to_string(rank));
        }
        done += static_cast<std::size_t>(moved);
    }
}

void Endpoint::read_memory(int rank, std::uint64_t address, std::byte* to, std::size_t bytes) const {
    move_in_pieces(rank, bytes, "process_vm_readv", [&](std::size_t at, std::size_t size) {
        iovec local{to + at, size};
        iovec remote{reinterpret_cast<void*>(address + at), size};
        return process_vm_readv(pid_of(rank), &local, 1, &remote, 1, 0);
    });
}

void Endpoint::write_memory(int rank, std::uint64_t address, const std::byte* from, std::size_t bytes) const {
    move_in_pieces(rank, bytes, "process_vm_writev", [&](std::size_t at, std::size_t size) {
        iovec local{const_cast<std::byte*>(from + at), size};
        iovec remote{reinterpret_cast<void*>(address + at), size};
        return process_vm_writev(pid_of(rank), &local, 1, &remote, 1, 0);
    });
}

namespace {

// The kernel copies no faster than anybody where a target lies a little ahead of its source (wire/copy.hpp): then by way of
// memory that lies like the other rank's. Calls `move` with that and the place in the whole.
template <class Move>
void by_way_of_memory_like(std::uint64_t address, std::size_t bytes, Move&& move) {
    constexpr std::size_t page = 4096, piece = 16 * page;
    thread_local std::vector<std::byte> memory;
    memory.resize(piece + page);
    std::byte* const like = memory.data() + (address - reinterpret_cast<std::uintptr_t>(memory.data())) % page;
    for (std::size_t done = 0; done < bytes; done += piece) move(like, done, std::min(piece, bytes - done));
}

}  // namespace

void Endpoint::copy_from(int rank, std::uint64_t address, std::byte* to, std::size_t bytes) const {
    if (!wire::copies_slowly(to, reinterpret_cast<const void*>(address), bytes)) return read_memory(rank, address, to, bytes);
    by_way_of_memory_like(address, bytes, [&](std::byte* memory, std::size_t at, std::size_t size) {
        read_memory(rank, address + at, memory, size);
        wire::copy_bytes(to + at, memory, size);
    });
}

void Endpoint::copy_to(int rank, std::uint64_t address, const std::byte* from, std::size_t bytes) const {
    if (!wire::copies_slowly(reinterpret_cast<const void*>(address), from, bytes)) return write_memory(rank, address, from, bytes);
    by_way_of_memory_like(address, bytes, [&](std::byte* memory, std::size_t at, std::size_t size) {
        wire::copy_bytes(memory, from + at, size);
        write_memory(rank, address + at, memory, size);
    });
}

bool Endpoint::can_read(int rank) const {
    std::uint64_t value = 0;
    iovec local{&value, sizeof value};
    iovec remote{reinterpret_cast<void*>(memory_.rank_line(rank).probe.load(std::memory_order_acquire)), sizeof value};
    return process_vm_readv(pid_of(rank), &local, 1, &remote, 1, 0) == sizeof value && value == probe_value;
}

}  // namespace rankpool::shm
