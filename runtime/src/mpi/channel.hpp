// Messages over an MPI communicator.
//
// A receive that knows its size is one MPI_Recv or MPI_Irecv, unless one that was begun before and does not know its size
// could take the same message. Those wait here: messages are taken in as they arrive (a matched probe, then the receive) and
// given to them in their order; what nobody asked for stays here. MPI knows nothing of them, so it would not move their
// messages while this rank waits elsewhere, in a collective perhaps. So nobody waits until a message is received: it is sent
// from a buffer of our own, unless it is so small that MPI does that itself, and its Request is complete at once; and who
// waits for another message takes in meanwhile.
//
// Waiting in a pool's service sleeps the longer the longer nothing comes, because the MPIs themselves only know how to spin.
#pragma once

#include <mpi.h>

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "spmd/mailbox.hpp"
#include <rankpool/comm/transport.hpp>

namespace rankpool::mpi {

class Channel {
  public:
    /// Takes the communicators over; they are freed at the end. `control`: of a job's world, for the job's end.
    explicit Channel(MPI_Comm communicator, MPI_Comm control = MPI_COMM_NULL);
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    MPI_Comm control() const { return control_; }
    int rank() const { return rank_; }
    int size() const { return size_; }

    struct Posted : comm::Posted {
        MPI_Request request = MPI_REQUEST_NULL;  // of MPI's own receive, where it is one
    };
    struct Sent {
        MPI_Request request = MPI_REQUEST_NULL;
        wire::Buffer bytes;
    };

    void send(int destination, int tag, std::span<const std::byte> bytes);
    void post(int destination, int tag, std::span<const std::byte> bytes);
    /// Returns at once; the bytes are kept until they have left.
    void start_send(int destination, int tag, wire::Buffer bytes);
    /// The same, but waits while there is very much under way.
    void send_buffer(int destination, int tag, wire::Buffer bytes);
    std::optional<comm::Message> try_receive(int source, int tag);
    comm::Message receive(int source, int tag);
    Status receive_into(int source, int tag, std::span<std::byte> to);
    std::shared_ptr<Posted> start_receive(int source, int tag, std::optional<std::size_t> bytes);
    bool test(Posted& posted);
    void wait(Posted& posted);
    void withdraw(const std::shared_ptr<Posted>& posted);
    std::optional<Status> try_probe(int source, int tag);
    Status probe(int source, int tag);

    /// As Transport::wait.
    void wait_for_message(std::chrono::nanoseconds limit, std::chrono::nanoseconds within);
    void wake();

    /// Collective. Takes in what was post()ed and not received; all that was sent has left.
    void finish();
    /// Before MPI ends: the communicators are freed.
    void close();

  private:
    bool take_in();
    void drop_sent();
    void complete(Posted& posted, const MPI_Status& status);
    void take(MPI_Message handle, const MPI_Status& status, comm::Message& message);
    void check_somebody_sends(int source) const;
    template <class Ready>
    void poll(Ready&& ready);

    MPI_Comm communicator_, control_;
    int rank_ = 0, size_ = 1;
    comm::Mailbox mailbox_;
    std::list<Sent> leaving_;
    std::size_t leaving_bytes_ = 0;
    std::vector<unsigned long long> sent_, received_;  // posts, by rank
    std::mutex mutex_;
    std::condition_variable woken_;
    bool wake_ = false;
};

}  // namespace rankpool::mpi
