// This process's end of a job's rings: messages between the ranks of one machine, for all of its communicators.
//
// Every ordered pair of ranks has a ring that only the first writes and only the second reads. A message is a header and
// its bytes. Small messages flow through the ring; the bytes of a large one stay where they are, its header says where,
// and the receiver copies them itself (process_vm_readv) and answers, which completes the sender's. Whether a receiver can
// do that is tried before the first large message; where it cannot, large messages flow through the ring too, piece by piece.
//
// What is sent and does not fit into the ring waits in a queue here; what arrives and nobody has asked for yet waits in the
// mailbox of its communicator. Both move whenever a thread of this process is in here: several may be, each with a
// communicator of its own. Every wait ends with an Error when the rank it waits for has left or died.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "shm/job_memory.hpp"
#include "spmd/mailbox.hpp"
#include <rankpool/comm/transport.hpp>

namespace rankpool::shm {

using Context = JobMemory::Context;

class Endpoint {
  public:
    Endpoint(JobMemory memory, int rank);
    ~Endpoint();
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    const JobMemory& memory() const { return memory_; }
    int rank() const { return rank_; }
    Patience patience() const { return patience_; }
    /// CPUs that the job's ranks can use here.
    int cpus() const { return cpus_; }
    pid_t pid_of(int rank) const { return memory_.rank_line(rank).pid.load(std::memory_order_relaxed); }

    /// A message that is on its way.
    struct Outgoing;
    // Ranks are the job's here; `peer` of a receive is the one to watch (any: all).

    void send(Context context, int destination, int tag, std::span<const std::byte> bytes);
    std::shared_ptr<Outgoing> start_send(Context context, int destination, int tag, wire::Buffer bytes);
    bool is_sent(const Outgoing& outgoing);
    void wait_sent(const Outgoing& outgoing);

    /// `seen`: the state in which there was none, to wait() with.
    std::optional<comm::Message> try_receive(Context context, int source, int tag, WaitWord::Ticket& seen);
    std::shared_ptr<comm::Posted> start_receive(Context context, int source, int tag);
    bool is_received(const comm::Posted& posted);
    void wait_received(const comm::Posted& posted, std::span<const int> group);
    /// Nobody wants it any more; if its message has come, it goes back.
    void withdraw(Context context, const std::shared_ptr<comm::Posted>& posted);
    std::optional<Status> try_probe(Context context, int source, int tag);
    Status probe(Context context, int source, int tag, std::span<const int> group);
    comm::Message receive(Context context, int source, int tag, std::span<const int> group);

    /// Until something has moved since `seen`, unless messages lie there already.
    void wait(Context context, WaitWord::Ticket seen, std::chrono::nanoseconds limit);
    void wake() { memory_.rank_line(rank_).doorbell.signal(); }
    /// This rank takes part in nothing any more but the job's end, in which it waits for others of whom the same is true.
    void begin_end();
    /// Everything that was sent has left this process.
    void flush();
    /// Moves what can be moved; whether there is more to do.
    bool progress();
    /// The same for who has nothing of its own to move; whether anything moved.
    bool take_in();
    /// Messages that have not left, or receives that were begun.
    bool has_business() const { return busy_.load(std::memory_order_relaxed) + posted_.load(std::memory_order_relaxed) != 0; }

    /// Whether a rank has left the job or died.
    bool departed(int rank) const;
    /// Throws RankDeparted: this rank waits to do something with `rank`, which has gone.
    [[noreturn]] void report_departed(int rank, const std::string& doing) const;

    /// Messages of a communicator that is no more are dropped.
    void forget(Context context);
    /// Copies from another rank's memory. Throws Error.
    void copy_from(int rank, std::uint64_t address, std::byte* to, std::size_t bytes) const;
    /// Copies to another rank's memory. Throws Error.
    void copy_to(int rank, std::uint64_t address, const std::byte* from, std::size_t bytes) const;
    /// Whether this process can read that rank's memory: tries.
    bool can_read(int rank) const;

  private:
    struct Header;
    struct Incoming;
    template <class Move>
    void move_in_pieces(int rank, std::size_t bytes, const char* call, Move&& move) const;
    void read_memory(int rank, std::uint64_t address, std::byte* to, std::size_t bytes) const;
    void write_memory(int rank, std::uint64_t address, const std::byte* from, std::size_t bytes) const;
    enum class Reach : std::uint8_t { unknown, asked, readable, not_readable };

    using Lock = std::unique_lock<std::mutex>;
    template <class Ready>
    void await(Lock& lock, int peer, std::span<const int> group, const char* doing, Ready&& ready);
    std::shared_ptr<Outgoing> enqueue(Context context, int destination, int tag, std::span<const std::byte> bytes);
    void enqueue_control(int destination, const Header& header);
    bool move_all();
    bool move_out(int destination);
    bool take_in_from(int source);
    void deliver(Context context, comm::Message message);
    void read_ring(int source, std::byte* to, std::size_t bytes);
    std::size_t write_ring(int destination, std::span<const std::byte> bytes);
    std::size_t readable(int source) const;
    std::size_t writable(int destination) const;

    JobMemory memory_;
    int rank_;
    int cpus_;
    Patience patience_;
    std::uint64_t probe_word_ = probe_value;

    std::mutex mutex_;
    std::atomic<bool> ending_{false};
    int sleepers_ = 0;  // threads of this process that wait in here
    std::vector<Reach> reach_;  // can that rank read our memory?
    std::vector<std::deque<std::shared_ptr<Outgoing>>> outgoing_;  // by destination
    std::map<std::uint32_t, std::shared_ptr<Outgoing>> unanswered_;
    std::uint32_t next_number_ = 1;
    std::vector<Incoming> incoming_;
    std::map<Context, comm::Mailbox> mailboxes_;
    std::atomic<std::size_t> busy_{0};  // messages that have not left yet
    std::atomic<std::size_t> posted_{0};  // receives that wait for theirs
};

}  // namespace rankpool::shm
