// Messages between the ranks of one machine over a job's memory (job_memory.hpp).
//
// Every ordered pair of ranks has a ring that only the first writes and only the second reads. A message is a header and
// its bytes. Small messages flow through the ring; the bytes of a large one stay where they are, its header says where,
// and the receiver copies them itself (process_vm_readv) and answers, which lets the sender go on. Where the kernel does
// not allow that, large messages flow through the ring too, piece by piece.
//
// A rank that waits for space or for an answer takes in what arrives meanwhile: two ranks may send to each other.
// Every wait ends with an Error when the rank it waits for has left or died.
#pragma once

#include <deque>

#include "shm/job_memory.hpp"
#include "spmd/message_collectives.hpp"

namespace rankpool::shm {

class ShmTransport final : public comm::MessageCollectives {
  public:
    ShmTransport(JobMemory memory, int rank);
    ~ShmTransport() override;

    int rank() const override { return rank_; }
    int size() const override { return memory_.ranks(); }
    int local_size() const override { return memory_.ranks(); }
    void send(int destination, int tag, std::span<const std::byte> bytes) override;
    std::optional<comm::Message> try_receive(int source, int tag) override;
    comm::Message receive(int source, int tag) override;
    void wait(std::chrono::nanoseconds limit) override;
    void wake() override;
    [[noreturn]] void abort(int exit_code) override;
    void finish() override;

  private:
    enum class Form : std::uint32_t { inline_bytes = 1, elsewhere = 2, answer = 3, refusal = 4 };
    struct Header {
        Form form;
        std::int32_t tag;
        std::uint64_t bytes;
        std::uint64_t address;  // elsewhere: where the bytes are in the sender's process
        std::uint64_t number;   // elsewhere, answer, refusal: which message
    };
    struct Incoming;

    bool take_in();
    bool take_in_from(int source);
    void read_ring(int source, std::byte* to, std::size_t bytes);
    void write_ring(int destination, std::span<const std::byte> bytes);
    void send_through_ring(int destination, const Header& header, std::span<const std::byte> bytes);
    bool copy_from(int source, const Header& header, wire::Buffer& to);
    std::size_t readable(int source) const;
    std::size_t writable(int destination) const;
    bool departed(int rank) const;
    [[noreturn]] void report_departed(int rank, const char* doing) const;
    void send_answers();
    template <class Ready>
    void await(WaitWord& word, int peer, const char* doing, Ready&& ready);
    std::deque<comm::Message>::iterator find(int source, int tag);

    JobMemory memory_;
    int rank_;
    Patience patience_;
    std::uint64_t sent_ = 0;      // large messages sent, for their answers
    std::uint64_t answered_ = 0;  // the last of them that was answered
    bool answer_ok_ = true;
    bool single_copy_ = true;     // until the kernel refuses
    std::vector<Incoming> incoming_;
    std::deque<comm::Message> arrived_;
    std::vector<std::pair<int, Header>> answers_;  // to large messages that were copied, not yet sent
    int writing_to_ = comm::any;                   // the ring that is in the middle of a message
    WaitWord::Ticket seen_{};
};

}  // namespace rankpool::shm
