#include "shm/collectives.hpp"

#include <algorithm>
#include <exception>
#include <numeric>

#include "shm/limits.hpp"
#include <rankpool/error.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::shm {
namespace {

using namespace std::chrono_literals;
using wire::copy_bytes;

// A rank says how far it is in one of so many epochs; two of these steps fit into the slots.
constexpr std::uint64_t told_every = slots_per_rank / 2;

std::size_t sum(comm::Sizes sizes) { return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}); }

}  // namespace

Collectives::Collectives(Endpoint& endpoint, Context context, std::vector<int> ranks, int own, std::optional<bool> single_copy)
    : endpoint_(endpoint),
      context_(context),
      ranks_(std::move(ranks)),
      own_(own),
      size_(static_cast<int>(ranks_.size())),
      area_(endpoint.memory().area(context, size_), size_),
      cell_bytes_(area_.cell_bytes()),
      patience_(endpoint.patience()),
      single_copy_(single_copy) {
    area_.header().users.fetch_add(1, std::memory_order_relaxed);
    // The CPUs that the ranks may use can differ: whoever comes first decides for all.
    std::uint32_t decided = 0;
    const std::uint32_t wanted = size_ > endpoint.cpus() || size_ > limits::heard_one_by_one ? 2 : 1;
    counted_ = area_.header().counted.compare_exchange_strong(decided, wanted) ? wanted == 2 : decided == 2;
}

Collectives::~Collectives() {
    if (area_.header().users.fetch_add(0x10000, std::memory_order_acq_rel) + 0x10000 == static_cast<std::uint32_t>(size_) * 0x10001u)
        endpoint_.memory().release_area(context_);
}

// ---- the protocol ----

template <class Each>
void Collectives::for_others(Each&& each) const {
    for (int step = 1; step < size_; ++step) each((own_ + step) % size_);
}

std::uint64_t Collectives::begin(const char* what) {
    if (!single_copy_) agree_on_single_copy();
    what_ = what;
    ++epoch_;
    form_ = Form::in_slot;
    return epoch_;
}

// The first operation of a communicator: can everybody read everybody's memory?
void Collectives::agree_on_single_copy() {
    bool all = true;
    single_copy_ = false;
    for (const int step : {0, 1}) {
        ++epoch_;
        what_ = "first collective operation";
        contribute(std::as_bytes(std::span(&all, 1)));
        arrive();
        hear_all();
        for_others([&](int rank) {
            bool theirs = false;
            const Contribution from = read(rank);
            if (from.bytes != sizeof theirs) mismatch(from, sizeof theirs);
            copy(from, 0, reinterpret_cast<std::byte*>(&theirs), sizeof theirs);
            all = all && (step == 0 ? endpoint_.can_read(ranks_[static_cast<std::size_t>(rank)]) : theirs);
        });
        leave();
    }
    single_copy_ = all;
}

void Collectives::await(EpochWord& word, std::uint64_t epoch, int rank, EpochWord::Match match) {
    if (word.watch(epoch, patience_, match)) return;
    bool moving = false;  // messages arrive
    for (std::chrono::nanoseconds pause = 50us;; pause = std::min<std::chrono::nanoseconds>(2 * pause, 5ms)) {
        // Messages of this process may have to move for the others to come here.
        const std::chrono::nanoseconds limit = moving || (endpoint_.has_business() && endpoint_.progress()) ? pause : 100ms;
        word.sleep(epoch, limit, match);
        if (word.reached(epoch, match)) return;
        moving = endpoint_.take_in();  // somebody who is about to leave may wait for an answer
        const auto look_at = [&](int other) {
            const int world = ranks_[static_cast<std::size_t>(other)];
            if (!endpoint_.departed(world) || word.reached(epoch, match)) return;
            endpoint_.report_departed(world, std::string("do ") + what_ + " together with");
        };
        if (rank != comm::any) {
            look_at(rank);
        } else {
            for_others([&](int other) {
                const auto arrived = area_.state(other).arrived.load(std::memory_order_acquire);
                if (static_cast<std::int32_t>(arrived - static_cast<std::uint32_t>(epoch_)) < 0) look_at(other);
            });
        }
    }
}

void Collectives::await_left(int rank, std::uint64_t epoch) { await(area_.state(rank).done, epoch, rank); }

// Also when one of them never will: the others may still be at this rank's memory.
void Collectives::await_all_left(std::uint64_t epoch) {
    std::uint64_t slowest = epoch_;
    std::exception_ptr error;
    for_others([&](int rank) {
        try {
            await_left(rank, epoch);
            slowest = std::min(slowest, area_.state(rank).done.latest(epoch));
        } catch (...) {
            if (!error) error = std::current_exception();
        }
    });
    if (error) std::rethrow_exception(error);
    everybody_left_ = std::max(everybody_left_, slowest);
}

void Collectives::await_left(std::span<const int> some, std::exception_ptr& error) {
    for (const int rank : some) {
        try {
            await_left(rank, epoch_);
        } catch (...) {
            if (!error) error = std::current_exception();
        }
    }
}

void Collectives::make_room() {
    if (epoch_ > everybody_left_ + slots_per_rank) await_all_left(epoch_ - slots_per_rank);
}

void Collectives::contribute(std::span<const std::byte> bytes) {
    make_room();
    const std::size_t index = (epoch_ - 1) % slots_per_rank;
    Slot& slot = area_.state(own_).slots[index];
    slot.bytes = bytes.size();
    if (bytes.size() <= sizeof slot.inside) {
        form_ = Form::in_slot;
        copy_bytes(slot.inside, bytes.data(), bytes.size());
    } else if (bytes.size() <= cell_bytes_) {
        form_ = Form::in_cell;
        copy_bytes(area_.cell(own_, index), bytes.data(), bytes.size());
    } else if (*single_copy_) {
        form_ = Form::elsewhere;
        slot.address = reinterpret_cast<std::uint64_t>(bytes.data());
    } else {
        form_ = Form::by_message;
    }
    slot.form = form_;
    slot.word.publish(epoch_);
}

void Collectives::arrive() {
    if (!counted_) return;
    make_room();  // a count holds the arrivals of one epoch at a time
    area_.header().arrivals[(epoch_ - 1) % slots_per_rank].count.arrive(all_arrived());
    area_.state(own_).arrived.store(static_cast<std::uint32_t>(epoch_), std::memory_order_release);
}

// The count at which all ranks have come to this epoch.
std::uint64_t Collectives::all_arrived() const { return static_cast<std::uint64_t>(size_) * ((epoch_ - 1) / slots_per_rank + 1); }

// Every rank has come to this epoch, and has shown what it contributes.
void Collectives::hear_all() {
    if (!counted_) return;  // they are heard one by one
    await(area_.header().arrivals[(epoch_ - 1) % slots_per_rank].count, all_arrived(), comm::any);
    everybody_left_ = std::max(everybody_left_, epoch_ - 1);
}

// Others look at it only now and then, when they need room; or when their own memory was read.
void Collectives::leave() {
    if (read_elsewhere_ || epoch_ % told_every == 0) area_.state(own_).done.publish(epoch_);
    read_elsewhere_ = false;
}

Collectives::Contribution Collectives::read(int rank) {
    const std::size_t index = (epoch_ - 1) % slots_per_rank;
    Slot& slot = area_.state(rank).slots[index];
    await(slot.word, epoch_, rank, EpochWord::Match::exactly);
    Contribution from{rank, slot.form, slot.bytes, nullptr, slot.address};
    const std::uint64_t room = from.form == Form::in_slot ? sizeof slot.inside : from.form == Form::in_cell ? cell_bytes_ : std::uint64_t{1} << 46;
    if (from.form < Form::in_slot || from.form > Form::by_message || from.bytes > room)
        throw Error("rank " + std::to_string(rank) + " wrote an impossible contribution into the job's memory");
    __builtin_prefetch(&area_.state(rank).slots[epoch_ % slots_per_rank]);  // of the next epoch: that rank may be ahead
    if (from.form == Form::elsewhere) read_elsewhere_ = true;
    if (from.form == Form::in_slot) from.here = slot.inside;
    if (from.form == Form::in_cell) from.here = area_.cell(rank, index);
    return from;
}

void Collectives::copy(const Contribution& from, std::uint64_t offset, std::byte* to, std::size_t bytes) {
    if (from.form != Form::by_message && (offset > from.bytes || bytes > from.bytes - offset))
        mismatch(from, static_cast<std::size_t>(offset) + bytes);
    if (bytes == 0 && from.form != Form::by_message) return;
    if (from.form == Form::elsewhere) {
        endpoint_.copy_from(ranks_[static_cast<std::size_t>(from.rank)], from.address + offset, to, bytes);
    } else if (from.form == Form::by_message) {
        const comm::Message message = endpoint_.receive(context_, ranks_[static_cast<std::size_t>(from.rank)], comm::tag_bulk, ranks_);
        if (message.bytes.size() != bytes) mismatch(from, bytes);
        copy_bytes(to, message.bytes.data(), bytes);
    } else {
        copy_bytes(to, from.here + offset, bytes);
    }
}

void Collectives::send_to(int reader, std::span<const std::byte> part) {
    if (form_ == Form::by_message) endpoint_.send(context_, ranks_[static_cast<std::size_t>(reader)], comm::tag_bulk, part);
}

void Collectives::send_to_all(std::span<const std::byte> bytes) {
    if (form_ == Form::by_message) for_others([&](int rank) { send_to(rank, bytes); });
}

Error Collectives::disagreement(const Contribution& from, std::size_t expected) const {
    return Error(std::string("the ranks disagree in ") + what_ + ": rank " + std::to_string(own_) + " expects " + std::to_string(expected) +
                 " bytes from rank " + std::to_string(from.rank) + ", which has " + std::to_string(from.bytes) +
                 "; do all ranks call the same operations with the same sizes? RANKPOOL_CHECK=1 tells more");
}

// Nobody waits any longer for this rank to read.
void Collectives::give_up() {
    area_.state(own_).done.publish(epoch_);
    read_elsewhere_ = false;
}

// Where blocks go, by the caller's own code: when that throws, they are taken in all the same.
std::byte* Collectives::call(const comm::Place& place, comm::Sizes sizes, std::span<const Contribution> from) {
    try {
        return place(sizes);
    } catch (...) {
        for (const Contribution& one : from)
            if (one.form == Form::by_message) (void)endpoint_.receive(context_, ranks_[static_cast<std::size_t>(one.rank)], comm::tag_bulk, ranks_);
        give_up();
        if (form_ == Form::elsewhere) await_all_left(epoch_);
        throw;
    }
}

void Collectives::mismatch(const Contribution& from, std::size_t expected) {
    give_up();
    throw disagreement(from, expected);
}

// ---- the barrier ----

void Collectives::barrier() {
    begin("barrier");
    if (counted_) {
        arrive();
        hear_all();
    } else {
        contribute({});
        for_others([&](int rank) { (void)read(rank); });
        everybody_left_ = epoch_ - 1;
    }
    leave();
}

// ---- large blocks, copied by both sides ----

// Of a block that goes from its owner to one of `size_` ranks, or from one of them to root: how much of it root copies. The
// others copy the rest, each of its own, so that all are busy for as long. 0: only one side copies.
std::size_t Collectives::by_other_side(std::size_t block) const {
    if (counted_ || size_ == 1 || !single_copy_.value_or(false) || block < limits::shared_copy) return 0;
    return part_of_root(block);
}

std::size_t Collectives::part_of_root(std::size_t block) const { return block / static_cast<std::size_t>(size_) / 4096 * 4096; }

// A block of root's, at `offset` of what it shows.
void Collectives::take_block(const Contribution& from, std::uint64_t offset, std::span<std::byte> to) {
    const std::size_t by_root = by_other_side(to.size()), own = to.size() - by_root;
    if (by_root > 0) contribute(to);
    copy(from, offset, to.data(), own);
    leave();
    if (by_root > 0) await_left(from.rank, epoch_);
}

// Root's side of take_block: its part of everybody's block; then everybody has theirs.
template <class BlockOf>
void Collectives::give_blocks(const BlockOf& block_of) {
    if (form_ != Form::elsewhere) return leave();
    std::exception_ptr error;
    for_others([&](int rank) {
        const auto block = block_of(rank);
        const std::size_t by_root = by_other_side(block.size()), at = block.size() - by_root;
        if (by_root == 0) return;
        try {
            const Contribution place = read(rank);
            if (place.form != Form::elsewhere || place.bytes != block.size()) throw disagreement(place, block.size());
            endpoint_.copy_to(ranks_[static_cast<std::size_t>(rank)], place.address + at, block.data() + at, by_root);
        } catch (...) {
            if (!error) error = std::current_exception();  // the others get theirs
        }
    });
    leave();
    try {
        await_all_left(epoch_);
    } catch (...) {
        if (!error) error = std::current_exception();
    }
    if (error) std::rethrow_exception(error);
}

// The other direction: this rank's block goes to `offset` of root's memory, which has `all` bytes. `both`: both sides copy,
// as all ranks know.
void Collectives::give_to_root(std::span<const std::byte> block, std::uint64_t offset, std::size_t all, int root, bool both) {
    contribute(block);
    arrive();
    send_to(root, block);
    const bool waited_for = form_ == Form::elsewhere;
    if (both) {
        const std::size_t by_root = part_of_root(block.size());
        const Contribution place = read(root);
        if (place.form != Form::elsewhere || place.bytes != all) mismatch(place, all);
        endpoint_.copy_to(ranks_[static_cast<std::size_t>(root)], place.address + offset + by_root, block.data() + by_root, block.size() - by_root);
    }
    leave();
    if (waited_for) await_left(root, epoch_);
}

template <class PlaceOf>
void Collectives::take_from_all(std::span<std::byte> receive, const PlaceOf& place_of, bool both) {
    if (both) contribute(receive);
    arrive();
    hear_all();
    std::exception_ptr error;
    std::vector<int> writers;  // who copy to this rank's memory
    for_others([&](int rank) {
        const std::span<std::byte> to = place_of(rank);
        try {
            const Contribution from = read(rank);
            if (from.bytes != to.size()) throw disagreement(from, to.size());
            if (both) writers.push_back(rank);
            copy(from, 0, to.data(), both ? part_of_root(to.size()) : to.size());
        } catch (...) {
            if (!both) {
                give_up();
                throw;
            }
            if (!error) error = std::current_exception();  // others may still write here
        }
    });
    everybody_left_ = std::max(everybody_left_, epoch_ - 1);
    read_elsewhere_ = read_elsewhere_ || both;
    leave();
    await_left(writers, error);
    if (error) std::rethrow_exception(error);
}

// ---- the operations, of one size, with a root ----

void Collectives::bcast(std::span<std::byte> bytes, int root) {
    begin("bcast");
    if (own_ == root) {
        contribute(bytes);
        arrive();
        send_to_all(bytes);
        return give_blocks([&](int) -> std::span<const std::byte> { return bytes; });
    }
    arrive();
    const Contribution from = read(root);
    if (from.bytes != bytes.size()) refuse_block(from, bytes.size(), from.bytes);
    take_block(from, 0, bytes);
}

void Collectives::scatter(std::span<const std::byte> send, std::span<std::byte> receive, int root) {
    begin("scatter");
    const std::size_t block = receive.size(), all = block * static_cast<std::size_t>(size_);
    const auto block_of = [&](int rank) { return send.subspan(static_cast<std::size_t>(rank) * block, block); };
    if (own_ == root) {
        contribute(send);
        arrive();
        for_others([&](int rank) { send_to(rank, block_of(rank)); });
        copy_bytes(receive.data(), block_of(own_).data(), block);
        return give_blocks(block_of);
    }
    arrive();
    const Contribution from = read(root);
    if (from.bytes != all) refuse_block(from, all, from.bytes / static_cast<std::uint64_t>(size_));
    take_block(from, static_cast<std::uint64_t>(own_) * block, receive);
}

void Collectives::gather(std::span<const std::byte> send, std::span<std::byte> receive, int root) {
    begin("gather");
    const std::size_t block = send.size();
    const bool both = by_other_side(block) > 0;
    if (own_ != root) return give_to_root(send, static_cast<std::uint64_t>(own_) * block, block * static_cast<std::size_t>(size_), root, both);
    const auto place_of = [&](int rank) { return receive.subspan(static_cast<std::size_t>(rank) * block, block); };
    copy_bytes(place_of(own_).data(), send.data(), block);
    take_from_all(receive, place_of, both);
}

// ---- … without a root ----

void Collectives::allgather(std::span<const std::byte> send, std::span<std::byte> receive) {
    const auto epoch = begin("allgather");
    const std::size_t block = send.size();
    contribute(send);
    arrive();
    send_to_all(send);
    copy_bytes(receive.data() + static_cast<std::size_t>(own_) * block, send.data(), block);
    hear_all();
    for_others([&](int rank) {
        const Contribution from = read(rank);
        if (from.bytes != block) mismatch(from, block);
        copy(from, 0, receive.data() + static_cast<std::size_t>(rank) * block, block);
    });
    everybody_left_ = epoch - 1;
    leave();
    if (form_ == Form::elsewhere) await_all_left(epoch);
}

void Collectives::alltoall(std::span<const std::byte> send, std::span<std::byte> receive) {
    const auto epoch = begin("alltoall");
    const std::size_t block = send.size() / static_cast<std::size_t>(size_);
    const std::size_t mine = static_cast<std::size_t>(own_) * block;
    contribute(send);
    arrive();
    for_others([&](int rank) { send_to(rank, send.subspan(static_cast<std::size_t>(rank) * block, block)); });
    copy_bytes(receive.data() + mine, send.data() + mine, block);
    hear_all();
    for_others([&](int rank) {
        const Contribution from = read(rank);
        if (from.bytes != send.size()) mismatch(from, send.size());
        copy(from, mine, receive.data() + static_cast<std::size_t>(rank) * block, block);
    });
    everybody_left_ = epoch - 1;
    leave();
    if (form_ == Form::elsewhere) await_all_left(epoch);
}

// Root shows blocks of another size than this rank expects. Root may wait for this rank to say where it wants its block: it
// is told that there is no such place.
void Collectives::refuse_block(const Contribution& from, std::size_t expected, std::uint64_t block) {
    if (by_other_side(static_cast<std::size_t>(block)) > 0) contribute({});
    mismatch(from, expected);
}

// ---- reductions ----
//
// The order is that of the ranks, from the left: ((x0 op x1) op x2) op … for every element, whoever computes it.

// Everybody's rows, folded into `to`, which may be `send`.
void Collectives::fold_all(std::span<const std::byte> send, std::byte* to, const comm::Fold& fold) {
    const std::size_t bytes = send.size(), count = bytes / fold.element_size;
    const auto right = [&](int rank) -> const std::byte* {
        if (rank == own_) return send.data();
        const Contribution from = read(rank);
        if (from.bytes != bytes) mismatch(from, bytes);
        return from.here;
    };
    hear_all();
    // Where `to` is what is still to be read, into memory of our own.
    const bool in_place = own_ == 0 || !comm::overlap(send, {to, bytes});
    if (!in_place) scratch_.resize(std::max(scratch_.size(), bytes));
    std::byte* const left = in_place ? to : scratch_.data();
    copy_bytes(left, right(0), bytes);
    for (int rank = 1; rank < size_; ++rank) fold(left, right(rank), count);
    copy_bytes(to, left, bytes);
    everybody_left_ = std::max(everybody_left_, epoch_ - 1);
}

void Collectives::reduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, int root) {
    if (send.size() > limits::fold_at_root || send.size() > cell_bytes_) return reduce_by_slices(send, receive, fold, root);
    begin("reduce");
    if (own_ == root) {
        arrive();
        fold_all(send, receive.data(), fold);
    } else {
        contribute(send);
        arrive();
    }
    leave();
}

void Collectives::allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold) {
    if (send.size() * static_cast<std::size_t>(size_) > limits::fold_everywhere || send.size() > cell_bytes_)
        return reduce_by_slices(send, receive, fold, comm::any);
    const auto epoch = begin("allreduce");
    contribute(send);
    arrive();
    fold_all(send, receive.data(), fold);
    everybody_left_ = epoch - 1;
    leave();
}

// Elements [begin, end) of everybody's rows, folded into `to`.
void Collectives::fold_slice(std::span<const std::byte> send, std::byte* to, std::size_t begin, std::size_t end, const comm::Fold& fold) {
    const std::size_t each = fold.element_size;
    const std::size_t tile = std::max<std::size_t>(1, limits::fold_tile / each);
    std::vector<Contribution> from;
    for (int rank = 0; rank < size_; ++rank) {
        if (rank == own_) {
            from.push_back({rank, Form::in_cell, send.size(), send.data(), 0});
            continue;
        }
        from.push_back(read(rank));
        if (from.back().bytes != send.size()) mismatch(from.back(), send.size());
    }
    scratch_.resize(std::max(scratch_.size(), tile * each));
    for (std::size_t at = begin; at < end; at += tile) {
        const std::size_t count = std::min(tile, end - at), bytes = count * each;
        std::byte* left = to + (at - begin) * each;
        for (const Contribution& one : from) {
            if (one.rank == 0) {
                copy(one, at * each, left, bytes);
            } else if (one.here != nullptr) {
                fold(left, one.here + at * each, count);
            } else {
                copy(one, at * each, scratch_.data(), bytes);
                fold(left, scratch_.data(), count);
            }
        }
    }
}

// Each rank folds a slice of the elements and shows the result. `root`: any for everybody.
void Collectives::reduce_by_slices(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, int root) {
    if (!single_copy_) agree_on_single_copy();
    const std::size_t each = fold.element_size, count = send.size() / each, ranks = static_cast<std::size_t>(size_);
    const auto slice_at = [&](int rank) { return count / ranks * static_cast<std::size_t>(rank) + std::min(static_cast<std::size_t>(rank), count % ranks); };
    const std::size_t first = slice_at(own_), last = slice_at(own_ + 1);
    const bool gets_all = root == comm::any || root == own_;

    // What others read must not be written meanwhile, and slices are written where they will stay.
    std::vector<std::byte> copy_of_send;
    if (gets_all && comm::overlap(send, receive)) {
        copy_of_send.assign(send.begin(), send.end());
        send = copy_of_send;
    }
    if (!gets_all) slice_.resize(std::max(slice_.size(), (last - first) * each));
    std::byte* const to = gets_all ? receive.data() + first * each : slice_.data();

    if (!shows(send.size())) {
        // Without single copy: everybody gets the others' parts of its slice as messages.
        std::vector<std::size_t> sizes;
        for (int rank = 0; rank < size_; ++rank) sizes.push_back((slice_at(rank + 1) - slice_at(rank)) * each);
        const std::size_t slice = (last - first) * each;
        const auto expect = [&](comm::Sizes arrived, auto&& size_of) {
            for (std::size_t rank = 0; rank < arrived.size(); ++rank)
                if (arrived[rank] != size_of(rank)) throw disagreement({static_cast<int>(rank), Form::by_message, arrived[rank], nullptr, 0}, size_of(rank));
        };
        std::vector<std::byte> parts;
        alltoallv(send.data(), sizes, [&](comm::Sizes arrived) {
            expect(arrived, [&](std::size_t) { return slice; });
            parts.resize(sum(arrived));
            return parts.data();
        });
        copy_bytes(to, parts.data(), slice);
        for (std::size_t rank = 1; rank < ranks; ++rank) fold(to, parts.data() + rank * slice, last - first);
        const comm::Place place = [&](comm::Sizes arrived) {
            expect(arrived, [&](std::size_t rank) { return sizes[rank]; });
            return receive.data();
        };
        const std::vector<std::byte> result(to, to + slice);
        root == comm::any ? allgatherv(result, place) : gatherv(result, place, root);
        return;
    }

    const auto epoch = begin(root == comm::any ? "allreduce" : "reduce");
    contribute(send);
    const bool rows_elsewhere = form_ == Form::elsewhere;
    arrive();
    hear_all();
    std::exception_ptr error;
    try {
        fold_slice(send, to, first, last, fold);
    } catch (...) {
        error = std::current_exception();
    }
    const std::span<const std::byte> slice(to, error ? 0 : (last - first) * each);  // the others are told by the wrong size
    everybody_left_ = std::max(everybody_left_, epoch - 1);
    leave();

    begin(root == comm::any ? "allreduce" : "reduce");
    const auto place_of = [&](int rank) { return receive.subspan(slice_at(rank) * each, (slice_at(rank + 1) - slice_at(rank)) * each); };
    if (root != comm::any) {
        const bool both = by_other_side(count / ranks * each) > 0;  // by the smallest slice
        // Root shows where the others put theirs also when its own has failed: they wait for that.
        if (own_ == root)
            take_from_all(receive, place_of, both);
        else
            give_to_root(slice, slice_at(own_) * each, send.size(), root, both && !error);
        if (rows_elsewhere) await_all_left(epoch);
        if (error) std::rethrow_exception(error);
        return;
    }
    contribute(slice);
    arrive();
    send_to_all(slice);
    hear_all();
    for_others([&](int rank) {
        const auto place = place_of(rank);
        const Contribution from = read(rank);
        if (from.bytes == place.size())
            copy(from, 0, place.data(), place.size());
        else if (!error)
            error = std::make_exception_ptr(disagreement(from, place.size()));
    });
    leave();
    everybody_left_ = std::max(everybody_left_, epoch);
    if (form_ == Form::elsewhere) await_all_left(epoch_);
    if (error) std::rethrow_exception(error);
}

// ---- the operations, of any size ----

void Collectives::bcastv(std::span<const std::byte> send, const comm::Place& place, int root) {
    const auto epoch = begin("bcast");
    if (own_ == root) {
        contribute(send);
        arrive();
        send_to_all(send);
        leave();
        if (form_ == Form::elsewhere) await_all_left(epoch);
        return;
    }
    arrive();
    const Contribution from = read(root);
    const std::size_t bytes = static_cast<std::size_t>(from.bytes);
    copy(from, 0, call(place, std::span(&bytes, 1), std::span(&from, 1)), bytes);
    leave();
}

// Two operations: where everybody's part is, then the parts.
void Collectives::scatterv(const std::byte* send, comm::Sizes sizes, const comm::Place& place, int root) {
    const auto ranks = static_cast<std::size_t>(size_), own = static_cast<std::size_t>(own_);
    std::vector<std::uint64_t> ends(ranks + 1);
    if (own_ == root)
        for (std::size_t rank = 0; rank < ranks; ++rank) ends[rank + 1] = ends[rank] + sizes[rank];
    bcast(std::as_writable_bytes(std::span(ends)), root);
    if (ends[own] > ends[own + 1]) throw Error("rank " + std::to_string(root) + " wrote an impossible table into the job's memory");
    const std::size_t bytes = static_cast<std::size_t>(ends[own + 1] - ends[own]);

    const auto epoch = begin("scatterv");
    if (own_ == root) {
        contribute({send, static_cast<std::size_t>(ends[ranks])});
        arrive();
        for_others([&](int rank) {
            const auto r = static_cast<std::size_t>(rank);
            send_to(rank, {send + ends[r], static_cast<std::size_t>(ends[r + 1] - ends[r])});
        });
        copy_bytes(call(place, std::span(&bytes, 1), {}), send + ends[own], bytes);
        leave();
        if (form_ == Form::elsewhere) await_all_left(epoch);
        return;
    }
    arrive();
    const Contribution from = read(root);
    if (from.bytes != ends[ranks]) mismatch(from, static_cast<std::size_t>(ends[ranks]));
    copy(from, ends[own], call(place, std::span(&bytes, 1), std::span(&from, 1)), bytes);
    leave();
}

// Everybody's block, one behind the other; this rank's own is `send`.
void Collectives::take_blocks(std::span<const std::byte> send, const comm::Place& place) {
    std::vector<Contribution> from;
    std::vector<std::size_t> sizes;
    for (int rank = 0; rank < size_; ++rank) {
        from.push_back(rank == own_ ? Contribution{rank, Form::in_cell, send.size(), send.data(), 0} : read(rank));
        sizes.push_back(static_cast<std::size_t>(from.back().bytes));
    }
    std::byte* to = call(place, sizes, from);
    for (const Contribution& one : from) {
        copy(one, 0, to, static_cast<std::size_t>(one.bytes));
        to += one.bytes;
    }
}

void Collectives::gatherv(std::span<const std::byte> send, const comm::Place& place, int root) {
    const auto epoch = begin("gatherv");
    if (own_ != root) {
        contribute(send);
        arrive();
        send_to(root, send);
        leave();
        if (form_ == Form::elsewhere) await_left(root, epoch);
        return;
    }
    arrive();
    hear_all();
    take_blocks(send, place);
    leave();
}

void Collectives::allgatherv(std::span<const std::byte> send, const comm::Place& place) {
    const auto epoch = begin("allgatherv");
    contribute(send);
    arrive();
    send_to_all(send);
    hear_all();
    take_blocks(send, place);
    everybody_left_ = std::max(everybody_left_, epoch - 1);
    leave();
    if (form_ == Form::elsewhere) await_all_left(epoch);
}

// Two operations: how long everybody's parts are and where, then the parts.
void Collectives::alltoallv(const std::byte* send, comm::Sizes sizes, const comm::Place& place) {
    const auto ranks = static_cast<std::size_t>(size_), own = static_cast<std::size_t>(own_);
    std::vector<std::uint64_t> ends(ranks + 1), tables(ranks * (ranks + 1));
    for (std::size_t rank = 0; rank < ranks; ++rank) ends[rank + 1] = ends[rank] + sizes[rank];
    allgather(std::as_bytes(std::span(ends)), std::as_writable_bytes(std::span(tables)));
    const auto table = [&](std::size_t rank) { return tables.data() + rank * (ranks + 1); };
    std::vector<std::size_t> arriving;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        const std::uint64_t from = table(rank)[own], to = table(rank)[own + 1];
        if (from > to) throw Error("rank " + std::to_string(rank) + " wrote an impossible table into the job's memory");
        arriving.push_back(static_cast<std::size_t>(to - from));
    }

    const auto epoch = begin("alltoallv");
    contribute({send, static_cast<std::size_t>(ends[ranks])});
    arrive();
    for_others([&](int rank) {
        const auto r = static_cast<std::size_t>(rank);
        send_to(rank, {send + ends[r], sizes[r]});
    });
    hear_all();
    std::vector<Contribution> from;
    for (int rank = 0; rank < size_; ++rank) {
        from.push_back(rank == own_ ? Contribution{rank, Form::in_cell, ends[ranks], send, 0} : read(rank));
        if (from.back().bytes != table(static_cast<std::size_t>(rank))[ranks]) mismatch(from.back(), static_cast<std::size_t>(table(static_cast<std::size_t>(rank))[ranks]));
    }
    std::byte* to = call(place, arriving, from);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        copy(from[rank], table(rank)[own], to, arriving[rank]);
        to += arriving[rank];
    }
    everybody_left_ = std::max(everybody_left_, epoch - 1);
    leave();
    if (form_ == Form::elsewhere) await_all_left(epoch);
}

}  // namespace rankpool::shm
