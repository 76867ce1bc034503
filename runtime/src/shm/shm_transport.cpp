#include "shm/shm_transport.hpp"

#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "spmd/departure.hpp"
#include <rankpool/error.hpp>

namespace rankpool::shm {
namespace {

// From this size on the receiver copies out of the sender's memory: below it, two copies through a warm ring are faster
// than a system call and an answer.
constexpr std::size_t single_copy_bytes = std::size_t{32} << 10;
constexpr std::size_t frame_alignment = 16;
using namespace std::chrono_literals;

std::size_t aligned(std::size_t bytes) { return (bytes + frame_alignment - 1) / frame_alignment * frame_alignment; }

}  // namespace

// A message that is flowing through a ring.
struct ShmTransport::Incoming {
    bool active = false;
    comm::Message message;
    std::size_t missing = 0;  // payload bytes
    std::size_t padding = 0;  // behind them
};

ShmTransport::ShmTransport(JobMemory memory, int rank)
    : memory_(std::move(memory)),
      rank_(rank),
      patience_(Patience::for_runners(memory_.ranks())),
      incoming_(static_cast<std::size_t>(memory_.ranks())) {
    static_assert(sizeof(Header) % frame_alignment == 0);
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // large messages: lets the other ranks read ours
    memory_.rank_line(rank_).pid.store(getpid(), std::memory_order_relaxed);
    memory_.set_presence(rank_, Presence::present);
}

ShmTransport::~ShmTransport() { memory_.set_presence(rank_, Presence::left); }

std::size_t ShmTransport::readable(int source) const {
    const RingHeader& ring = memory_.ring(source, rank_);
    const std::uint64_t filled = ring.tail.load(std::memory_order_acquire) - ring.head.load(std::memory_order_relaxed);
    if (filled > memory_.ring_capacity())
        throw Error("rank " + std::to_string(source) + " wrote impossible positions into the job's memory");
    return static_cast<std::size_t>(filled);
}

std::size_t ShmTransport::writable(int destination) const {
    const RingHeader& ring = memory_.ring(rank_, destination);
    const std::uint64_t filled = ring.tail.load(std::memory_order_relaxed) - ring.head.load(std::memory_order_acquire);
    if (filled > memory_.ring_capacity())
        throw Error("rank " + std::to_string(destination) + " wrote impossible positions into the job's memory");
    return memory_.ring_capacity() - static_cast<std::size_t>(filled);
}

void ShmTransport::read_ring(int source, std::byte* to, std::size_t bytes) {
    RingHeader& ring = memory_.ring(source, rank_);
    const std::byte* from = memory_.ring_bytes(source, rank_);
    const std::uint64_t head = ring.head.load(std::memory_order_relaxed);
    const std::size_t at = head % memory_.ring_capacity();
    const std::size_t first = std::min(bytes, memory_.ring_capacity() - at);
    if (to != nullptr && bytes > 0) {
        std::memcpy(to, from + at, first);
        std::memcpy(to + first, from, bytes - first);
    }
    ring.head.store(head + bytes, std::memory_order_release);
    memory_.rank_line(source).space.signal();
}

void ShmTransport::write_ring(int destination, std::span<const std::byte> bytes) {
    RingHeader& ring = memory_.ring(rank_, destination);
    std::byte* to = memory_.ring_bytes(rank_, destination);
    const std::uint64_t tail = ring.tail.load(std::memory_order_relaxed);
    const std::size_t at = tail % memory_.ring_capacity();
    const std::size_t first = std::min(bytes.size(), memory_.ring_capacity() - at);
    std::memcpy(to + at, bytes.data(), first);
    if (bytes.size() > first) std::memcpy(to, bytes.data() + first, bytes.size() - first);
    ring.tail.store(tail + bytes.size(), std::memory_order_release);
    memory_.rank_line(destination).doorbell.signal();
}

bool ShmTransport::departed(int rank) const {
    if (rank != comm::any) {
        const Presence presence = memory_.presence(rank);
        return presence == Presence::left || presence == Presence::gone;
    }
    for (int other = 0; other < size(); ++other)
        if (other != rank_ && !departed(other)) return false;
    return size() > 1;
}

void ShmTransport::report_departed(int rank, const char* doing) const {
    const std::string who = rank == comm::any ? "any other rank; all of them have"
                                              : "rank " + std::to_string(rank) + ", which has";
    const bool left = rank != comm::any && memory_.presence(rank) == Presence::left;
    throw comm::RankDeparted("rank " + std::to_string(rank_) + " waits to " + doing + " " + who +
                (left ? " left the job" : " ended"));
}

// Waits until `ready`, taking in messages. `word` is signalled by whoever makes it ready.
template <class Ready>
void ShmTransport::await(WaitWord& word, int peer, const char* doing, Ready&& ready) {
    WaitWord& doorbell = memory_.rank_line(rank_).doorbell;
    for (;;) {
        const auto ticket = word.ticket();
        const auto bell = doorbell.ticket();
        if (ready()) return;
        if (take_in()) continue;
        if (ready()) return;
        if (departed(peer)) {
            // What it sent before it went is seen now, if there is anything.
            if (!take_in() && !ready()) report_departed(peer, doing);
            continue;
        }
        // Whatever is awaited, arriving messages must be taken in too: look at the other word now and then.
        if (&word == &doorbell)
            word.wait(ticket, patience_, 100ms);
        else if (doorbell.ticket() == bell)
            word.wait(ticket, patience_, 1ms);
    }
}

void ShmTransport::send_through_ring(int destination, const Header& header, std::span<const std::byte> bytes) {
    WaitWord& space = memory_.rank_line(rank_).space;
    const auto room = [&](std::size_t wanted) {
        await(space, destination, "send to", [&] { return writable(destination) >= wanted; });
    };
    writing_to_ = destination;
    room(sizeof header);
    write_ring(destination, {reinterpret_cast<const std::byte*>(&header), sizeof header});
    static constexpr std::byte zeros[frame_alignment]{};
    const std::size_t padding = aligned(bytes.size()) - bytes.size();
    while (!bytes.empty()) {
        room(1);
        const auto part = bytes.first(std::min(bytes.size(), writable(destination)));
        write_ring(destination, part);
        bytes = bytes.subspan(part.size());
    }
    if (padding > 0) {
        room(padding);
        write_ring(destination, {zeros, padding});
    }
    writing_to_ = comm::any;
    send_answers();
}

void ShmTransport::send_answers() {
    std::erase_if(answers_, [&](const auto& answer) {
        const auto& [destination, header] = answer;
        if (destination == writing_to_ || writable(destination) < sizeof header) return false;
        write_ring(destination, {reinterpret_cast<const std::byte*>(&header), sizeof header});
        return true;
    });
}

void ShmTransport::send(int destination, int tag, std::span<const std::byte> bytes) {
    if (destination == rank_) {
        comm::Message own{rank_, tag, {}};
        own.bytes.append(bytes.data(), bytes.size());
        arrived_.push_back(std::move(own));
        wake();
        return;
    }
    if (single_copy_ && bytes.size() >= single_copy_bytes) {
        const Header header{Form::elsewhere, tag, bytes.size(), reinterpret_cast<std::uint64_t>(bytes.data()), ++sent_};
        send_through_ring(destination, header, {});
        await(memory_.rank_line(rank_).doorbell, destination, "send to", [&] { return answered_ == sent_; });
        if (answer_ok_) return;
        single_copy_ = false;  // the kernel does not let the receiver read our memory: from now on through the ring
    }
    send_through_ring(destination, {Form::inline_bytes, tag, bytes.size(), 0, 0}, bytes);
}

bool ShmTransport::copy_from(int source, const Header& header, wire::Buffer& to) {
    to.clear();
    std::byte* place = to.grow(static_cast<std::size_t>(header.bytes));
    const pid_t pid = memory_.rank_line(source).pid.load(std::memory_order_relaxed);
    constexpr std::size_t piece = std::size_t{1} << 30;  // one call moves less than 2 GiB
    for (std::size_t done = 0; done < header.bytes;) {
        iovec local{place + done, std::min<std::size_t>(piece, header.bytes - done)};
        iovec remote{reinterpret_cast<void*>(header.address + done), local.iov_len};
        const ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
        if (got <= 0) return false;
        done += static_cast<std::size_t>(got);
    }
    return true;
}

bool ShmTransport::take_in_from(int source) {
    Incoming& incoming = incoming_[static_cast<std::size_t>(source)];
    bool moved = false;
    for (;;) {
        std::size_t available = readable(source);
        if (incoming.active) {
            if (available == 0) return moved;
            const std::size_t part = std::min(available, incoming.missing);
            if (part > 0) read_ring(source, incoming.message.bytes.grow(part), part);
            incoming.missing -= part;
            available -= part;
            moved = moved || part > 0;
            if (incoming.missing > 0 || available < incoming.padding) return moved;
            if (incoming.padding > 0) read_ring(source, nullptr, incoming.padding);
            incoming.active = false;
            arrived_.push_back(std::move(incoming.message));
            moved = true;
            continue;
        }
        if (available < sizeof(Header)) return moved;
        Header header;
        read_ring(source, reinterpret_cast<std::byte*>(&header), sizeof header);
        moved = true;
        if (header.bytes > std::uint64_t{1} << 46)
            throw Error("rank " + std::to_string(source) + " announced a message of impossible size");
        switch (header.form) {
            case Form::inline_bytes:
                incoming.message = {source, header.tag, {}};
                incoming.missing = static_cast<std::size_t>(header.bytes);
                incoming.padding = aligned(incoming.missing) - incoming.missing;
                incoming.active = true;
                if (incoming.missing == 0) {
                    incoming.active = false;
                    arrived_.push_back(std::move(incoming.message));
                }
                break;
            case Form::elsewhere: {
                comm::Message message{source, header.tag, {}};
                const bool copied = copy_from(source, header, message.bytes);
                if (copied) arrived_.push_back(std::move(message));
                // Not at once: this rank may be in the middle of a message to the same ring.
                answers_.emplace_back(source, Header{copied ? Form::answer : Form::refusal, 0, 0, 0, header.number});
                break;
            }
            case Form::answer:
            case Form::refusal:
                answered_ = header.number;
                answer_ok_ = header.form == Form::answer;
                break;
            default: throw Error("rank " + std::to_string(source) + " sent something unknown through the job's memory");
        }
    }
}

bool ShmTransport::take_in() {
    bool moved = false;
    for (int source = 0; source < size(); ++source)
        if (source != rank_) moved = take_in_from(source) || moved;
    if (!answers_.empty()) send_answers();
    return moved;
}

std::deque<comm::Message>::iterator ShmTransport::find(int source, int tag) {
    return std::find_if(arrived_.begin(), arrived_.end(), [&](const comm::Message& message) {
        return (source == comm::any || message.source == source) && (tag == comm::any || message.tag == tag);
    });
}

std::optional<comm::Message> ShmTransport::try_receive(int source, int tag) {
    seen_ = memory_.rank_line(rank_).doorbell.ticket();
    take_in();
    const auto message = find(source, tag);
    if (message == arrived_.end()) return std::nullopt;
    comm::Message taken = std::move(*message);
    arrived_.erase(message);
    return taken;
}

comm::Message ShmTransport::receive(int source, int tag) {
    const int peer = source == rank_ ? comm::any : source;
    await(memory_.rank_line(rank_).doorbell, peer, "receive from", [&] { return find(source, tag) != arrived_.end(); });
    const auto message = find(source, tag);
    comm::Message taken = std::move(*message);
    arrived_.erase(message);
    return taken;
}

void ShmTransport::wait(std::chrono::nanoseconds limit) {
    if (arrived_.empty()) memory_.rank_line(rank_).doorbell.wait(seen_, patience_, limit);
}

void ShmTransport::wake() { memory_.rank_line(rank_).doorbell.signal(); }

void ShmTransport::abort(int exit_code) {
    std::_Exit(exit_code);  // the launcher sees it and ends the other ranks
}

void ShmTransport::finish() {
    // Nobody leaves before everybody has come here: a rank that is slow must still find its peers' messages.
    barrier();
}

}  // namespace rankpool::shm
