// The collective operations of one communicator over its area (collective_area.hpp).
//
// Every operation has a number, its epoch: all ranks count the same ones. A rank that contributes something shows it in
// its slot for that epoch, and whoever needs it waits for the slot's word and copies. Nobody waits for its readers, unless
// they read its own memory: a slot is used again eight epochs later, when everybody has left the old one.
//
//   contribute: make room; write the slot (and its cell); slot.word.publish(epoch)    release …
//   read:       await slot.word >= epoch; copy                                        … acquire
//   leave:      done.publish(epoch), now and then: this rank reads nothing more of that epoch and of those before
//
// Invariants:
//   1. A slot is rewritten for epoch e only when every rank's `done` is at least e - 8. A rank whose contribution to
//      epoch f was seen has left f - 1, so operations in which all hear from all need not look at `done` at all.
//   2. A reader that waits for epoch e therefore finds exactly e. Anything later means that the ranks do not do the same.
//   3. Contributions that stay in their owner's memory are waited for: the owner leaves when its readers have. Who has read
//      one publishes `done` in that epoch.
//   4. Where both sides copy a part of a large block, the receiver shows where it wants it, once it knows that sizes agree; it
//      waits until the other has left, too.
//   5. Otherwise `done` is published in every fourth epoch: who has left e - 1 has published e - 8 at least.
//
// More ranks than CPUs: a rank that is awaited may need the CPU of the one that waits, and every hand-over costs a switch.
// There, each rank also counts its arrival at every operation, and who needs to hear from all sleeps once, until the last
// one has come, instead of once for each.
//
// Values: what other ranks wrote (sizes, forms) is checked before it is used.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "shm/collective_area.hpp"
#include "shm/endpoint.hpp"
#include <rankpool/comm/transport.hpp>

namespace rankpool::shm {

class Collectives {
  public:
    /// `ranks`: the job's ranks of this communicator, in its order; this process is ranks[own].
    /// `single_copy`: whether they can read each other's memory, where that is known already.
    Collectives(Endpoint& endpoint, Context context, std::vector<int> ranks, int own, std::optional<bool> single_copy);
    ~Collectives();
    Collectives(const Collectives&) = delete;
    Collectives& operator=(const Collectives&) = delete;

    void barrier();
    void bcast(std::span<std::byte> bytes, int root);
    void scatter(std::span<const std::byte> send, std::span<std::byte> receive, int root);
    void gather(std::span<const std::byte> send, std::span<std::byte> receive, int root);
    void allgather(std::span<const std::byte> send, std::span<std::byte> receive);
    void alltoall(std::span<const std::byte> send, std::span<std::byte> receive);
    void reduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, int root);
    void allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold);

    void bcastv(std::span<const std::byte> send, const comm::Place& place, int root);
    void scatterv(const std::byte* send, comm::Sizes sizes, const comm::Place& place, int root);
    void gatherv(std::span<const std::byte> send, const comm::Place& place, int root);
    void allgatherv(std::span<const std::byte> send, const comm::Place& place);
    void alltoallv(const std::byte* send, comm::Sizes sizes, const comm::Place& place);

    std::optional<bool> single_copy() const { return single_copy_; }

  private:
    // What a rank shows in an epoch.
    struct Contribution {
        int rank;
        Form form;
        std::uint64_t bytes;
        const std::byte* here;  // in_slot, in_cell
        std::uint64_t address;  // elsewhere
    };

    std::uint64_t begin(const char* what);
    void make_room();
    void contribute(std::span<const std::byte> bytes);
    void arrive();
    std::uint64_t all_arrived() const;
    void leave();
    /// Sends by message what could not be shown.
    void send_to(int reader, std::span<const std::byte> part);
    void send_to_all(std::span<const std::byte> bytes);
    void hear_all();
    Contribution read(int rank);
    void copy(const Contribution& from, std::uint64_t offset, std::byte* to, std::size_t bytes);
    void take_blocks(std::span<const std::byte> send, const comm::Place& place);
    std::size_t by_other_side(std::size_t block) const;
    void take_block(const Contribution& from, std::uint64_t offset, std::span<std::byte> to);
    template <class BlockOf>
    void give_blocks(const BlockOf& block_of);
    void give_to_root(std::span<const std::byte> block, std::uint64_t offset, std::size_t all, int root, bool both);
    template <class PlaceOf>
    void take_from_all(std::span<std::byte> receive, const PlaceOf& place_of, bool both);
    std::size_t part_of_root(std::size_t block) const;
    void await_left(std::span<const int> some, std::exception_ptr& error);
    void await_left(int rank, std::uint64_t epoch);
    void await_all_left(std::uint64_t epoch);
    void await(EpochWord& word, std::uint64_t epoch, int rank, EpochWord::Match match = EpochWord::Match::at_least);
    [[noreturn]] void refuse_block(const Contribution& from, std::size_t expected, std::uint64_t block);
    std::byte* call(const comm::Place& place, comm::Sizes sizes, std::span<const Contribution> from);
    Error disagreement(const Contribution& from, std::size_t expected) const;
    void give_up();
    [[noreturn]] void mismatch(const Contribution& from, std::size_t expected);

    template <class Each>
    void for_others(Each&& each) const;
    void fold_slice(std::span<const std::byte> send, std::byte* to, std::size_t begin, std::size_t end, const comm::Fold& fold);
    void fold_all(std::span<const std::byte> send, std::byte* to, const comm::Fold& fold);
    void reduce_by_slices(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, int root);
    bool shows(std::size_t bytes) const { return bytes <= cell_bytes_ || single_copy_.value_or(false); }
    void agree_on_single_copy();

    Endpoint& endpoint_;
    Context context_;
    std::vector<int> ranks_;
    int own_, size_;
    CollectiveArea area_;
    std::size_t cell_bytes_;
    Patience patience_;
    bool counted_ = false;
    std::optional<bool> single_copy_;
    std::uint64_t epoch_ = 0;
    std::uint64_t everybody_left_ = 0;  // an epoch that all ranks are known to have left
    Form form_ = Form::in_slot;         // of this rank's contribution to this epoch
    const char* what_ = "";
    bool read_elsewhere_ = false;       // in this epoch, another rank's own memory
    std::vector<std::byte> scratch_, slice_;
};

}  // namespace rankpool::shm
