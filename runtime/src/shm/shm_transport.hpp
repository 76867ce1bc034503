// A communicator of ranks that share one machine's memory: messages through the process's endpoint, collective operations
// through the communicator's area.
#pragma once

#include "shm/collectives.hpp"
#include "shm/endpoint.hpp"

namespace rankpool::shm {

class ShmTransport final : public comm::Transport {
  public:
    /// The world of a job: this process is `rank` of it.
    ShmTransport(JobMemory memory, int rank);
    ~ShmTransport() override;

    int rank() const override { return own_; }
    int size() const override { return static_cast<int>(ranks_.size()); }
    comm::Neighbours neighbours() const override { return {}; }

    void send(int destination, int tag, std::span<const std::byte> bytes) override;
    std::optional<comm::Message> try_receive(int source, int tag) override;
    comm::Message receive(int source, int tag) override;
    std::unique_ptr<comm::Operation> start_send(int destination, int tag, wire::Buffer bytes) override;
    std::unique_ptr<comm::Operation> start_receive(int source, int tag, std::optional<std::size_t> bytes) override;
    std::optional<Status> try_probe(int source, int tag) override;
    Status probe(int source, int tag) override;
    void wait(std::chrono::nanoseconds limit, std::chrono::nanoseconds) override { endpoint_->wait(context_, seen_, limit); }
    void wake() override { endpoint_->wake(); }

    void barrier() override { collectives_.barrier(); }
    void bcast(std::span<std::byte> bytes, int root) override { collectives_.bcast(bytes, root); }
    void scatter(std::span<const std::byte> send, std::span<std::byte> receive, int root) override { collectives_.scatter(send, receive, root); }
    void gather(std::span<const std::byte> send, std::span<std::byte> receive, int root) override { collectives_.gather(send, receive, root); }
    void allgather(std::span<const std::byte> send, std::span<std::byte> receive) override { collectives_.allgather(send, receive); }
    void alltoall(std::span<const std::byte> send, std::span<std::byte> receive) override { collectives_.alltoall(send, receive); }
    void reduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, int root) override {
        collectives_.reduce(send, receive, fold, root);
    }
    void allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold) override {
        collectives_.allreduce(send, receive, fold);
    }
    void bcastv(std::span<const std::byte> send, const comm::Place& place, int root, std::size_t) override { collectives_.bcastv(send, place, root); }
    void scatterv(const std::byte* send, comm::Sizes sizes, const comm::Place& place, int root, std::size_t) override {
        collectives_.scatterv(send, sizes, place, root);
    }
    void gatherv(std::span<const std::byte> send, const comm::Place& place, int root, std::size_t) override { collectives_.gatherv(send, place, root); }
    void allgatherv(std::span<const std::byte> send, const comm::Place& place, std::size_t) override { collectives_.allgatherv(send, place); }
    void alltoallv(const std::byte* send, comm::Sizes sizes, const comm::Place& place, std::size_t) override { collectives_.alltoallv(send, sizes, place); }

    std::shared_ptr<comm::Transport> split(std::optional<int> color, int key) override;
    std::shared_ptr<comm::Transport> node() override { return split(0, 0); }
    [[noreturn]] void abort(int exit_code) override;
    void begin_end() override { endpoint_->begin_end(); }
    int finish(int exit_code) override;

  private:
    struct Membership;
    class Receive;
    ShmTransport(std::shared_ptr<Endpoint> endpoint, Context context, std::vector<int> ranks, int own, std::optional<bool> single_copy);
    int world_rank(int rank) const { return rank == comm::any ? comm::any : ranks_[static_cast<std::size_t>(rank)]; }
    int own_rank(int world_rank) const;
    comm::Message translated(comm::Message message) const;
    Status translated(Status status) const;

    std::shared_ptr<Endpoint> endpoint_;
    Context context_;
    std::shared_ptr<Membership> membership_;
    std::vector<int> ranks_;  // of the job, by rank of this communicator
    int own_;
    Collectives collectives_;
    WaitWord::Ticket seen_{};
};

}  // namespace rankpool::shm
