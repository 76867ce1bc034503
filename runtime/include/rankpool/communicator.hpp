// The ranks of a job and what they do together: MPI's collectives and messages with C++ types and no counts.
//
//     rankpool::spmd(argc, argv, [](rankpool::Communicator& world) {
//         std::vector<int> items = …;                       // counts at rank 0 only
//         auto mine = world.scatterv(items);                // contiguous blocks in rank order
//         for (int& x : mine) x *= x;
//         auto all = world.gatherv(mine);                   // joined at rank 0, empty elsewhere
//         double sum = world.allreduce(local, std::plus<>{});
//     });
//
// Collective: all ranks call it, in the same order. Local: only the ranks that are named take part. Trivially copyable
// values travel as they are, others serialized. Errors of all functions here: std::invalid_argument for a wrong root,
// rank, tag or size, on the rank that passed it and before it sends anything; MpiError for errors of MPI; Error when a rank
// that is waited for has left or died (over shared memory), and when ranks that disagree are found out. In check level
// `collective` (in debug builds, and with RANKPOOL_CHECK=1) every rank throws when they call different operations, or
// the same one with different roots or sizes, with both views in the text.
//
// Reductions apply their operation in rank order from the left, ((x0 op x1) op x2) op …, under every launcher: it need not
// be commutative, and floating-point digits depend on the number of ranks only.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <rankpool/comm/agreement.hpp>
#include <rankpool/comm/blocks.hpp>
#include <rankpool/comm/reduction.hpp>
#include <rankpool/comm/requests.hpp>
#include <rankpool/comm/transport.hpp>
#include <rankpool/status.hpp>

namespace rankpool {

namespace comm {

/// Turns an exception that item `index` threw on this rank into bytes, and back with its origin.
void encode_error(wire::Buffer& out, std::size_t index, int rank, const std::exception_ptr& error);
std::exception_ptr decode_error(wire::Reader& in);

/// What the `_into` forms take: a contiguous range of trivially copyable elements.
template <class Range>
concept Span = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> && wire::is_bytes<std::ranges::range_value_t<Range>>;

template <Span Range>
std::span<const std::byte> bytes_of(const Range& range) {
    return std::as_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
}
template <Span Range>
std::span<std::byte> writable_bytes_of(Range& range) {
    static_assert(!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>, "rankpool: the receiving range is const");
    return std::as_writable_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
}
template <class A, class B>
inline constexpr bool same_elements = std::is_same_v<std::ranges::range_value_t<A>, std::ranges::range_value_t<B>>;

}  // namespace comm

/// A handle to some ranks, cheap to copy. One thread at a time uses a communicator; several threads may each use one of
/// their own (dup()).
class Communicator {
  public:
    /// `checked`: in check level `collective`.
    explicit Communicator(std::shared_ptr<comm::Transport> transport, bool checked = false)
        : transport_(std::move(transport)), rank_(transport_->rank()), size_(transport_->size()), checked_(checked) {}

    /// This process's number, from 0 to size()-1. Local.
    int rank() const { return rank_; }
    /// Local.
    int size() const { return size_; }

    /// What moves its bytes; for the library's own use.
    const std::shared_ptr<comm::Transport>& transport() const { return transport_; }

    // ---- one to all, all to one, all to all ----

    /// Returns when every rank has called it. Collective. MPI_Barrier.
    void barrier() const {
        announce({"barrier"});
        transport_->barrier();
    }

    /// Root's value on every rank; the argument of the others does not count. Collective. MPI_Bcast.
    template <class T>
    T bcast(T value, int root = 0) const {
        wire::require_transferable<T>();
        check_root(root);
        announce(about<T>("bcast", root));
        if constexpr (wire::is_bytes<T>) {
            comm::ByteArray<T> bytes;
            std::memcpy(bytes.data(), std::addressof(value), sizeof(T));
            transport_->bcast(bytes, root);
            return comm::from_bytes<T>(bytes);
        } else if (rank() == root) {
            const comm::Outgoing<T> outgoing(value);
            transport_->bcastv(outgoing.bytes(), {}, root, 1);
            return value;
        } else {
            wire::Buffer bytes;
            transport_->bcastv({}, [&](comm::Sizes sizes) { return comm::room_for(bytes, sizes[0]); }, root, 1);
            return comm::value_of<T>(bytes);
        }
    }

    /// Value r of root's on rank r. `one_per_rank` counts at root only, and has size() values there. Collective. MPI_Scatter.
    template <class T>
    T scatter(const std::vector<T>& one_per_rank, int root = 0) const {
        wire::require_transferable<T>();
        check_root(root);
        if (rank() == root) comm::check_count("scatter", one_per_rank.size(), ranks(), "one value for each rank");
        announce(about<T>("scatter", root));
        if constexpr (wire::is_bytes<T>) {
            const comm::Rows<T> rows = rank() == root ? comm::Rows<T>(one_per_rank) : comm::Rows<T>();
            comm::ByteArray<T> bytes;
            transport_->scatter(rows.bytes(), bytes, root);
            return comm::from_bytes<T>(bytes);
        } else {
            comm::Blocks blocks;
            if (rank() == root)
                for (const T& value : one_per_rank) blocks.add_value(value);
            wire::Buffer bytes;
            transport_->scatterv(blocks.bytes.data(), blocks.sizes, [&](comm::Sizes sizes) { return comm::room_for(bytes, sizes[0]); }, root, 1);
            return wire::decode<T>(bytes);
        }
    }

    /// Contiguous blocks of root's items in rank order, lengths differing by at most one; `items` count at root only.
    /// Collective. MPI_Scatterv.
    template <std::ranges::input_range Range>
    std::vector<std::ranges::range_value_t<Range>> scatterv(Range&& items, int root = 0) const {
        using T = std::ranges::range_value_t<Range>;
        wire::require_transferable<T>();
        check_root(root);
        announce(about<T>("scatterv", root));
        const comm::Rows<T> rows = rank() == root ? comm::Rows<T>(items) : comm::Rows<T>();
        const auto length = [&](std::size_t r) { return rows.size() / ranks() + (r < rows.size() % ranks() ? 1 : 0); };
        if constexpr (wire::is_bytes<T>) {
            std::vector<std::size_t> sizes;
            for (std::size_t r = 0; rank() == root && r < ranks(); ++r) sizes.push_back(length(r) * sizeof(T));
            comm::Landing<T> landing;
            const comm::Place place = [&](comm::Sizes arriving) { return landing.make_room(comm::count_of<T>(arriving)).data(); };
            transport_->scatterv(rows.bytes().data(), sizes, place, root, sizeof(T));
            return landing.take();
        } else {
            comm::Blocks blocks;
            const T* next = rows.data();
            std::span<const T> own;
            for (std::size_t r = 0; rank() == root && r < ranks(); next += length(r++)) {
                if (comm::may_be_copied<T> && static_cast<int>(r) == root) {
                    own = {next, length(r)};
                    blocks.sizes.push_back(0);
                } else {
                    blocks.add(next, length(r));
                }
            }
            wire::Buffer bytes;
            transport_->scatterv(blocks.bytes.data(), blocks.sizes, [&](comm::Sizes sizes) { return comm::room_for(bytes, sizes[0]); }, root, 1);
            std::vector<T> mine;
            if constexpr (comm::may_be_copied<T>)
                if (rank() == root) return std::vector<T>(own.begin(), own.end());
            comm::make_room(mine, comm::items_in(bytes));
            comm::append_items(bytes, mine);
            return mine;
        }
    }

    /// The values of all ranks in rank order at root; empty elsewhere. Collective. MPI_Gather.
    template <class T>
    std::vector<T> gather(const T& value, int root = 0) const {
        check_root(root);
        announce(about<T>("gather", root));
        return gathered(value, rank() == root, [&](auto send, auto receive) { transport_->gather(send, receive, root); },
                        [&](auto send, const auto& place) { transport_->gatherv(send, place, root, 1); });
    }

    /// The values of all ranks in rank order, on every rank. Collective. MPI_Allgather.
    template <class T>
    std::vector<T> allgather(const T& value) const {
        announce(about<T>("allgather"));
        return gathered(value, true, [&](auto send, auto receive) { transport_->allgather(send, receive); },
                        [&](auto send, const auto& place) { transport_->allgatherv(send, place, 1); });
    }

    /// The blocks of all ranks joined in rank order at root; empty elsewhere. Blocks may have any length. Collective.
    /// MPI_Gatherv.
    template <std::ranges::input_range Range>
    std::vector<std::ranges::range_value_t<Range>> gatherv(Range&& block, int root = 0) const {
        check_root(root);
        announce(about<std::ranges::range_value_t<Range>>("gatherv", root));
        return joined(std::forward<Range>(block), rank() == root,
                      [&](auto send, const auto& place, std::size_t unit) { transport_->gatherv(send, place, root, unit); });
    }

    /// The blocks of all ranks joined in rank order, on every rank. Collective. MPI_Allgatherv.
    template <std::ranges::input_range Range>
    std::vector<std::ranges::range_value_t<Range>> allgatherv(Range&& block) const {
        announce(about<std::ranges::range_value_t<Range>>("allgatherv"));
        return joined(std::forward<Range>(block), false,
                      [&](auto send, const auto& place, std::size_t unit) { transport_->allgatherv(send, place, unit); });
    }

    /// Value r of this rank's goes to rank r; what came from rank r is value r of the result. Collective. MPI_Alltoall.
    template <class T>
    std::vector<T> alltoall(const std::vector<T>& one_per_rank) const {
        wire::require_transferable<T>();
        comm::check_count("alltoall", one_per_rank.size(), ranks(), "one value for each rank");
        announce(about<T>("alltoall"));
        if constexpr (wire::is_bytes<T>) {
            const comm::Rows<T> rows(one_per_rank);
            comm::Landing<T> landing;
            const auto to = landing.make_room(ranks());
            transport_->alltoall(rows.bytes(), to);
            return landing.take();
        } else {
            comm::Blocks blocks, arrived;
            for (const T& value : one_per_rank) blocks.add_value(value);
            transport_->alltoallv(blocks.bytes.data(), blocks.sizes, [&](comm::Sizes sizes) { return arrived.make_room(sizes); }, 1);
            std::vector<T> values;
            arrived.each([&](auto bytes) { values.push_back(wire::decode<T>(bytes)); });
            return values;
        }
    }

    /// The same with blocks of any length. Collective. MPI_Alltoallv.
    template <class T>
    std::vector<std::vector<T>> alltoallv(const std::vector<std::vector<T>>& block_per_rank) const {
        wire::require_transferable<T>();
        comm::check_count("alltoallv", block_per_rank.size(), ranks(), "one block for each rank");
        announce(about<T>("alltoallv"));
        constexpr bool as_bytes = wire::is_bytes<T>;
        comm::Blocks blocks, arrived;
        for (const std::vector<T>& block : block_per_rank) {
            const comm::Rows<T> rows(block);
            if constexpr (as_bytes) {
                blocks.bytes.append(rows.bytes().data(), rows.bytes().size());
                blocks.sizes.push_back(rows.bytes().size());
            } else {
                blocks.add(rows.data(), rows.size());
            }
        }
        transport_->alltoallv(blocks.bytes.data(), blocks.sizes, [&](comm::Sizes sizes) { return arrived.make_room(sizes); }, as_bytes ? sizeof(T) : 1);
        std::vector<std::vector<T>> result;
        arrived.each([&](std::span<const std::byte> bytes) {
            if constexpr (as_bytes) {
                comm::Landing<T> landing;
                const std::size_t size = bytes.size();
                const auto to = landing.make_room(comm::count_of<T>(std::span(&size, 1)));
                wire::copy_bytes(to.data(), bytes.data(), size);
                result.push_back(landing.take());
            } else {
                comm::append_items(bytes, result.emplace_back());
            }
        });
        return result;
    }

    // ---- reductions ----

    /// The values of all ranks combined at root, in rank order; off root the rank's own value. A contiguous range (a
    /// std::span always, a string never) is combined element by element, if `op` can be called on its elements and not on
    /// the range: then the result is a vector, empty off root, and all ranks give as many elements. native(op): MPI's own
    /// algorithm. Collective. MPI_Reduce.
    template <class X, class Op>
    auto reduce(const X& x, Op op, int root = 0) const {
        check_root(root);
        announce_reduction("reduce", x, op, root);
        if constexpr (comm::elementwise<X, Op>()) {
            return combined_rows(x, op, rank() == root, [&](auto send, auto receive, const comm::Fold& fold) { transport_->reduce(send, receive, fold, root); });
        } else {
            using T = ValueOf<X>;
            const T& value = plain(x);
            if constexpr (wire::is_bytes<T>)
                return combined(value, op, [&](auto send, auto receive, const comm::Fold& fold) { transport_->reduce(send, receive, fold, root); }, rank() == root);
            else
                return rank() == root ? folded(gather(value, root), op, ranks()) : (gather(value, root), T(value));
        }
    }

    /// The same, with the result on every rank. Collective. MPI_Allreduce.
    template <class X, class Op>
    auto allreduce(const X& x, Op op) const {
        announce_reduction("allreduce", x, op, -1);
        if constexpr (comm::elementwise<X, Op>()) {
            return combined_rows(x, op, true, [&](auto send, auto receive, const comm::Fold& fold) { transport_->allreduce(send, receive, fold); });
        } else {
            using T = ValueOf<X>;
            const T& value = plain(x);
            if constexpr (wire::is_bytes<T>)
                return combined(value, op, [&](auto send, auto receive, const comm::Fold& fold) { transport_->allreduce(send, receive, fold); }, true);
            else
                return folded(allgather(value), op, ranks());
        }
    }

    /// On rank r the values of ranks 0 to r combined. Ranges as in reduce. Collective. MPI_Scan.
    template <class X, class Op>
    auto scan(const X& x, Op op) const {
        announce_reduction("scan", x, op, -1);
        if constexpr (comm::elementwise<X, Op>())
            return folded_rows(x, op, own() + 1);
        else
            return folded(allgather(plain(x)), op, own() + 1);
    }

    /// On rank r the values of ranks 0 to r-1 combined; empty on rank 0. Collective. MPI_Exscan.
    template <class X, class Op>
    auto exscan(const X& x, Op op) const {
        announce_reduction("exscan", x, op, -1);
        if constexpr (comm::elementwise<X, Op>()) {
            auto rows = folded_rows(x, op, std::max<std::size_t>(own(), 1));
            using Rows = decltype(rows);
            return own() == 0 ? std::optional<Rows>() : std::optional<Rows>(std::move(rows));
        } else {
            using T = ValueOf<X>;
            std::vector<T> all = allgather(plain(x));
            return own() == 0 ? std::optional<T>() : std::optional<T>(folded(std::move(all), op, own()));
        }
    }

    // ---- messages ----

    /// Sends a value to one rank; may wait until it is received. Tags go from 0 to largest_tag. Local. MPI_Send.
    template <class T>
    void send(const T& value, int dest, int tag = 0) const {
        check_destination("send", dest, tag);
        comm::Outgoing<T> outgoing(value);
        if constexpr (wire::is_bytes<T>)
            transport_->send(dest, tag, outgoing.bytes());
        else
            transport_->send_buffer(dest, tag, outgoing.take());
    }

    /// The next message from `source` with `tag`, in the order sent; waits for it. `status` tells where it came from.
    /// Throws Error or SerializationError when it is no T. Local. MPI_Recv.
    template <class T>
    T recv(int source = any_source, int tag = any_tag, Status* status = nullptr) const {
        wire::require_transferable<T>();
        check_source("recv", source, tag);
        Status known;
        if constexpr (wire::is_bytes<T>) {
            comm::ByteArray<T> bytes;
            known = transport_->receive_into(source, tag, bytes);
            if (status != nullptr) *status = known;
            return comm::from_bytes<T>(bytes);
        } else {
            const comm::Message message = transport_->receive(source, tag);
            if (status != nullptr) *status = {message.source, message.tag, message.bytes.size()};
            return comm::value_of<T>(message.bytes);
        }
    }

    /// Sends to one rank and receives from another, without waiting for each other in a circle. Local. MPI_Sendrecv.
    template <class T>
    T sendrecv(const T& value, int dest, int source, int tag = 0) const {
        check_source("sendrecv", source, tag);
        Request sending = isend(value, dest, tag);
        T received = recv<T>(source, tag);
        sending.wait();
        return received;
    }

    /// Begins to send and returns at once. Local. MPI_Isend.
    template <class T>
    [[nodiscard]] Request isend(const T& value, int dest, int tag = 0) const {
        check_destination("isend", dest, tag);
        return Request(transport_->start_send(dest, tag, comm::Outgoing<T>(value).take()));
    }

    /// Begins to receive and returns at once. Local. MPI_Irecv.
    template <class T>
    [[nodiscard]] RecvRequest<T> irecv(int source = any_source, int tag = any_tag) const {
        wire::require_transferable<T>();
        check_source("irecv", source, tag);
        return RecvRequest<T>(transport_->start_receive(source, tag, wire::is_bytes<T> ? std::optional(sizeof(T)) : std::nullopt));
    }

    /// Waits for a message that fits and tells of it; it stays where it is. Local. MPI_Probe.
    Status probe(int source = any_source, int tag = any_tag) const {
        check_source("probe", source, tag);
        return transport_->probe(source, tag);
    }
    /// The same without waiting. Local. MPI_Iprobe.
    std::optional<Status> iprobe(int source = any_source, int tag = any_tag) const {
        check_source("iprobe", source, tag);
        return transport_->try_probe(source, tag);
    }

    // ---- maps ----

    /// scatterv, `function` on each item, gatherv: Pool.map, SPMD style. `function` is each rank's own and may capture
    /// anything. Results in the order of `items` at root, empty elsewhere. An item's exception is thrown at root, with
    /// its index and rank in remote_info: the one of the smallest index; no rank hangs. Collective.
    template <class F, std::ranges::input_range Range>
    auto map(F&& function, Range&& items, int root = 0) const {
        return mapped(function, items, root, [&](auto send, const auto& place) { transport_->gatherv(send, place, root, 1); });
    }

    /// The same with the results, or the error, on every rank. Collective.
    template <class F, std::ranges::input_range Range>
    auto allmap(F&& function, Range&& items, int root = 0) const {
        return mapped(function, items, root, [&](auto send, const auto& place) { transport_->allgatherv(send, place, 1); });
    }

    // ---- communicators ----

    /// A communicator of the ranks that gave the same `color`, ordered by `key` and then by rank. Without a colour: not a
    /// member, empty result. Collective. MPI_Comm_split.
    std::optional<Communicator> split(std::optional<int> color, int key = 0) const {
        announce({"split"});
        auto part = transport_->split(color, key);
        return part ? std::optional<Communicator>(std::in_place, std::move(part), checked_) : std::nullopt;
    }
    /// The ranks that share memory with this one. Collective. MPI_Comm_split_type.
    Communicator node() const {
        announce({"node"});
        return Communicator(transport_->node(), checked_);
    }
    /// The same ranks, with messages and operations of their own. Collective. MPI_Comm_dup.
    Communicator dup() const {
        announce({"dup"});
        return Communicator(transport_->split(0, 0), checked_);
    }

    // ---- into buffers of the caller's: trivially copyable elements, no allocation ----
    // Ranges are contiguous. Sizes that must agree and do not: std::invalid_argument.

    /// Root's elements on every rank; all give as many. Collective. MPI_Bcast.
    template <comm::Span Buffer>
    void bcast_into(Buffer&& buffer, int root = 0) const {
        check_root(root);
        announce(about<std::ranges::range_value_t<Buffer>>("bcast_into", root, std::ranges::size(buffer)));
        transport_->bcast(comm::writable_bytes_of(buffer), root);
    }
    /// `send` counts at root: size() * receive.size() elements. Collective. MPI_Scatter.
    template <comm::Span Send, comm::Span Receive>
    void scatter_into(const Send& send, Receive&& receive, int root = 0) const {
        static_assert(comm::same_elements<Send, Receive>);
        check_root(root);
        if (rank() == root) comm::check_count("scatter_into: send", std::ranges::size(send), ranks() * std::ranges::size(receive), "size() times those received");
        if (rank() == root) comm::check_apart(comm::bytes_of(send), comm::bytes_of(receive));
        announce(about<std::ranges::range_value_t<Receive>>("scatter_into", root, std::ranges::size(receive)));
        transport_->scatter(comm::bytes_of(send), comm::writable_bytes_of(receive), root);
    }
    /// `receive` counts at root: size() * send.size() elements. Collective. MPI_Gather.
    template <comm::Span Send, comm::Span Receive>
    void gather_into(const Send& send, Receive&& receive, int root = 0) const {
        static_assert(comm::same_elements<Send, Receive>);
        check_root(root);
        if (rank() == root) comm::check_count("gather_into: receive", std::ranges::size(receive), ranks() * std::ranges::size(send), "size() times those sent");
        if (rank() == root) comm::check_apart(comm::bytes_of(send), comm::bytes_of(receive));
        announce(about<std::ranges::range_value_t<Send>>("gather_into", root, std::ranges::size(send)));
        transport_->gather(comm::bytes_of(send), comm::writable_bytes_of(receive), root);
    }
    /// `receive` has size() * send.size() elements. Collective. MPI_Allgather.
    template <comm::Span Send, comm::Span Receive>
    void allgather_into(const Send& send, Receive&& receive) const {
        static_assert(comm::same_elements<Send, Receive>);
        comm::check_count("allgather_into: receive", std::ranges::size(receive), ranks() * std::ranges::size(send), "size() times those sent");
        comm::check_apart(comm::bytes_of(send), comm::bytes_of(receive));
        announce(about<std::ranges::range_value_t<Send>>("allgather_into", -1, std::ranges::size(send)));
        transport_->allgather(comm::bytes_of(send), comm::writable_bytes_of(receive));
    }
    /// `send` and `receive` have as many elements, a multiple of size(). Collective. MPI_Alltoall.
    template <comm::Span Send, comm::Span Receive>
    void alltoall_into(const Send& send, Receive&& receive) const {
        static_assert(comm::same_elements<Send, Receive>);
        comm::check_count("alltoall_into: receive", std::ranges::size(receive), std::ranges::size(send), "as many as are sent");
        comm::check_count("alltoall_into: send", std::ranges::size(send), std::ranges::size(send) / ranks() * ranks(), "a multiple of size()");
        comm::check_apart(comm::bytes_of(send), comm::bytes_of(receive));
        announce(about<std::ranges::range_value_t<Send>>("alltoall_into", -1, std::ranges::size(send)));
        transport_->alltoall(comm::bytes_of(send), comm::writable_bytes_of(receive));
    }
    /// Element by element; `receive` counts at root and has as many elements as `send`, or is the same range. Collective.
    /// MPI_Reduce.
    template <comm::Span Send, comm::Span Receive, class Op>
    void reduce_into(const Send& send, Receive&& receive, Op op, int root = 0) const {
        static_assert(comm::same_elements<Send, Receive>);
        check_root(root);
        if (rank() == root) comm::check_count("reduce_into: receive", std::ranges::size(receive), std::ranges::size(send), "as many as are sent");
        announce(about<std::ranges::range_value_t<Send>>("reduce_into", op, root, std::ranges::size(send)));
        transport_->reduce(comm::bytes_of(send), comm::writable_bytes_of(receive), comm::fold_of<std::ranges::range_value_t<Send>>(op), root);
    }
    /// The same with the result on every rank. Collective. MPI_Allreduce.
    template <comm::Span Send, comm::Span Receive, class Op>
    void allreduce_into(const Send& send, Receive&& receive, Op op) const {
        static_assert(comm::same_elements<Send, Receive>);
        comm::check_count("allreduce_into: receive", std::ranges::size(receive), std::ranges::size(send), "as many as are sent");
        announce(about<std::ranges::range_value_t<Send>>("allreduce_into", op, -1, std::ranges::size(send)));
        transport_->allreduce(comm::bytes_of(send), comm::writable_bytes_of(receive), comm::fold_of<std::ranges::range_value_t<Send>>(op));
    }

    /// Ends all ranks of the job, now, with this exit code; with 1 where its low byte, which is all that an exit code has, is
    /// 0: launchers would take that for success. Local. MPI_Abort.
    [[noreturn]] void abort(int exit_code) const {
        transport_->abort((exit_code & 0xff) != 0 ? exit_code : 1);
        std::abort();  // never comes here; not all compilers see that
    }

  private:
    std::size_t ranks() const { return static_cast<std::size_t>(size()); }
    std::size_t own() const { return static_cast<std::size_t>(rank()); }

    template <class X>
    static const X& plain(const X& x) {
        return x;
    }
    template <class T>
    static const T& plain(const comm::AsValue<T>& x) {
        return x.value;
    }
    template <class X>
    using ValueOf = std::remove_cvref_t<decltype(plain(std::declval<const X&>()))>;

    void announce(const comm::Announcement& what) const {
        if (comm::in_task) comm::refuse_in_task(what.operation);
        if (checked_) comm::agree(*transport_, what);
    }
    template <class T>
    static comm::Announcement about(const char* operation, int root = -1, std::size_t elements = comm::Announcement::any_size) {
        return {operation, root, elements, typeid(T).name()};
    }
    template <class T, class Op>
    static comm::Announcement about(const char* operation, const Op& op, int root, std::size_t elements) {
        return {operation, root, elements, typeid(T).name(), typeid(comm::callable(op)).name(), comm::is_native<Op>};
    }

    template <class X, class Op>
    void announce_reduction(const char* operation, const X& x, const Op& op, int root) const {
        if constexpr (comm::elementwise<X, Op>())
            announce(about<std::ranges::range_value_t<X>>(operation, op, root, std::ranges::size(x)));
        else
            announce(about<ValueOf<X>>(operation, op, root, comm::Announcement::any_size));
    }

    void check_root(int root) const {
        if (root < 0 || root >= size_) comm::refuse_root(root, size_);
    }
    void check_destination(const char* what, int dest, int tag) const {
        if (comm::in_task) comm::refuse_in_task(what);
        if (dest < 0 || dest >= size_) comm::refuse_peer(what, dest, size_, false);
        if (tag < 0 || tag > largest_tag) comm::refuse_tag(tag, false);
    }
    void check_source(const char* what, int source, int tag) const {
        if (comm::in_task) comm::refuse_in_task(what);
        if ((source < 0 || source >= size_) && source != any_source) comm::refuse_peer(what, source, size_, true);
        if ((tag < 0 || tag > largest_tag) && tag != any_tag) comm::refuse_tag(tag, true);
    }

    // gather and allgather: `of_one_size` or `of_any_size` do the work; `receives`: whether they do so here.
    template <class T, class OfOneSize, class OfAnySize>
    std::vector<T> gathered(const T& value, bool receives, OfOneSize&& of_one_size, OfAnySize&& of_any_size) const {
        const comm::Outgoing<T> outgoing(value);
        if constexpr (wire::is_bytes<T>) {
            comm::Landing<T> landing;
            of_one_size(outgoing.bytes(), landing.make_room(receives ? ranks() : 0));
            return landing.take();
        } else {
            comm::Blocks arrived;
            of_any_size(outgoing.bytes(), comm::Place([&](comm::Sizes sizes) { return arrived.make_room(sizes); }));
            std::vector<T> all;
            arrived.each([&](auto bytes) { all.push_back(comm::value_of<T>(bytes)); });
            return all;
        }
    }

    template <class Range, class Gather>
    auto joined(Range&& block, bool keeps_own, Gather&& gather_blocks) const {
        using T = std::ranges::range_value_t<Range>;
        wire::require_transferable<T>();
        const comm::Rows<T> rows(block);
        if constexpr (wire::is_bytes<T>) {
            comm::Landing<T> landing;
            gather_blocks(rows.bytes(), comm::Place([&](comm::Sizes sizes) { return landing.make_room(comm::count_of<T>(sizes)).data(); }), sizeof(T));
            return landing.take();
        } else {
            comm::Blocks mine, arrived;
            keeps_own = keeps_own && comm::may_be_copied<T>;
            if (!keeps_own) mine.add(rows.data(), rows.size());
            gather_blocks(std::span<const std::byte>(mine.bytes), comm::Place([&](comm::Sizes sizes) { return arrived.make_room(sizes); }), std::size_t{1});
            std::vector<T> all;
            std::size_t count = keeps_own ? rows.size() : 0;
            arrived.each([&](auto bytes) { count += comm::items_in(bytes); });
            comm::make_room(all, count);
            int source = 0;
            arrived.each([&](auto bytes) {
                if (source++ != rank() || !keeps_own) return comm::append_items(bytes, all);
                if constexpr (comm::may_be_copied<T>) comm::append_own<Range>(block, rows, all);
            });
            return all;
        }
    }

    template <class T, class Op, class Reduce>
    T combined(const T& value, Op& op, Reduce&& reduce_rows, bool receives) const {
        comm::ByteArray<T> bytes;
        reduce_rows(comm::Outgoing<T>(value).bytes(), std::span<std::byte>(bytes), comm::fold_of<T>(op));
        return receives ? comm::from_bytes<T>(bytes) : value;
    }

    template <class Range, class Op, class Reduce>
    auto combined_rows(const Range& range, Op& op, bool receives, Reduce&& reduce_rows) const {
        using T = std::ranges::range_value_t<Range>;
        if constexpr (wire::is_bytes<T>) {
            comm::Landing<T> landing;
            const auto to = landing.make_room(receives ? std::ranges::size(range) : 0);
            reduce_rows(comm::bytes_of(range), to, comm::fold_of<T>(op));
            return landing.take();
        } else {
            auto all = folded_rows(range, op, ranks());
            if (!receives) all.clear();
            return all;
        }
    }

    /// The first `count` values, from the left.
    template <class T, class Op>
    static T folded(std::vector<T> values, Op& op, std::size_t count) {
        T left = std::move(values[0]);
        for (std::size_t r = 1; r < count; ++r) left = static_cast<T>(comm::callable(op)(std::as_const(left), static_cast<const T&>(values[r])));
        return left;
    }

    /// The rows of the first `count` ranks, element by element from the left.
    template <class Range, class Op>
    auto folded_rows(const Range& range, Op& op, std::size_t count) const {
        using T = std::ranges::range_value_t<Range>;
        const std::size_t length = std::ranges::size(range);
        for (const std::size_t other : allgather(length))
            if (other != length)
                throw Error("the ranks disagree: an elementwise operation on " + std::to_string(length) + " elements here, " + std::to_string(other) + " elsewhere");
        std::vector<T> rows = allgatherv(range);
        for (std::size_t r = 1; r < count; ++r)
            for (std::size_t i = 0; i < length; ++i) rows[i] = static_cast<T>(comm::callable(op)(static_cast<const T&>(rows[i]), static_cast<const T&>(rows[r * length + i])));
        rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(length), rows.end());
        return rows;
    }

    template <class F, class Range, class Gather>
    auto mapped(F& function, Range& items, int root, Gather&& gather_answers) const {
        using T = std::ranges::range_value_t<Range>;
        using Returned = std::invoke_result_t<F&, T>;
        static_assert(!std::is_void_v<Returned>, "rankpool: the function of Communicator::map must return a value");
        using R = std::decay_t<Returned>;
        wire::require_transferable<R>();
        check_root(root);
        const comm::Rows<T> rows = rank() == root ? comm::Rows<T>(items) : comm::Rows<T>();
        const std::size_t count = bcast(rows.size(), root);
        // As bytes: what cannot be made a T of on one rank must not keep that rank from its answer.
        const auto share = [&](std::size_t r) { return count / ranks() + (r < count % ranks() ? 1 : 0); };
        comm::Blocks blocks;
        const T* next = rows.data();
        for (std::size_t r = 0; rank() == root && r < ranks(); next += share(r++)) blocks.add(next, share(r));
        wire::Buffer block;
        transport_->scatterv(blocks.bytes.data(), blocks.sizes, [&](comm::Sizes sizes) { return block.grow(sizes[0]); }, root, 1);
        std::size_t index = own() * (count / ranks()) + std::min(own(), count % ranks());

        // Each rank answers with its results, or with the error of its first item that threw.
        wire::Buffer answer;
        const bool sound = true;
        answer.append(&sound, sizeof sound);
        try {
            wire::Reader in(block);
            const auto held = in.read<std::uint64_t>();
            answer.append(&held, sizeof held);
            for (std::uint64_t i = 0; i < held; ++i, ++index) wire::encode<R>(answer, function(in.read<T>()));
        } catch (...) {
            answer.clear();
            const bool failed = false;
            answer.append(&failed, sizeof failed);
            comm::encode_error(answer, index, rank(), std::current_exception());
        }
        comm::Blocks arrived;
        gather_answers(std::span<const std::byte>(answer), comm::Place([&](comm::Sizes sizes) { return arrived.make_room(sizes); }));
        std::vector<R> all;
        std::exception_ptr error;
        arrived.each([&](std::span<const std::byte> bytes) {
            wire::Reader in(bytes);
            if (!in.read<bool>()) {
                if (!error) error = comm::decode_error(in);
                return;
            }
            for (auto length = in.read<std::uint64_t>(); length > 0 && !error; --length) all.push_back(in.read<R>());
        });
        if (error) std::rethrow_exception(error);
        return all;
    }

    std::shared_ptr<comm::Transport> transport_;
    int rank_, size_;
    bool checked_;
};

}  // namespace rankpool
