// The ranks of a job and what they do together: MPI's collectives with C++ types and no counts.
//
//     rankpool::spmd(argc, argv, [](rankpool::Communicator& world) {
//         std::vector<int> items = …;                       // counts at rank 0 only
//         auto mine = world.scatterv(items);                // contiguous blocks in rank order
//         for (int& x : mine) x *= x;
//         auto all = world.gatherv(mine);                   // joined at rank 0, empty elsewhere
//     });
//
// Trivially copyable elements travel as blocks, others serialized. Every function here is Collective unless it says
// Local: all ranks call it, in the same order. `root` out of range: std::invalid_argument, before anything is sent.
#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <rankpool/transferable.hpp>
#include <rankpool/wire/archive.hpp>

namespace rankpool {

namespace comm {

class Transport;

// The untyped operations, compiled.
int rank(const Transport&);
int size(const Transport&);
void check_root(const Transport&, int root);
void barrier(Transport&);
void bcast(Transport&, wire::Buffer& bytes, int root);
wire::Buffer scatter(Transport&, const std::vector<std::span<const std::byte>>& parts, int root);
std::vector<wire::Buffer> gather(Transport&, std::span<const std::byte> part, int root);
/// Turns an exception that item `index` threw on this rank into bytes, and back with its origin.
void encode_error(wire::Buffer& out, std::size_t index, int rank, const std::exception_ptr& error);
std::exception_ptr decode_error(wire::Reader& in);

template <class T>
void encode_block(wire::Buffer& out, const T* items, std::size_t count) {
    if constexpr (wire::is_bytes<T>) {
        out.append(items, count * sizeof(T));
    } else {
        const std::uint64_t length = count;
        out.append(&length, sizeof length);
        for (std::size_t i = 0; i < count; ++i) wire::encode(out, items[i]);
    }
}

template <class T>
void decode_block(std::span<const std::byte> bytes, std::vector<T>& to) {
    if constexpr (wire::is_bytes<T>) {
        if (bytes.size() % sizeof(T) != 0) throw SerializationError("a block of items from another rank has an impossible size");
        const std::size_t old = to.size(), count = bytes.size() / sizeof(T);
        if constexpr (std::is_same_v<T, bool>) {
            for (const std::byte byte : bytes) to.push_back(byte != std::byte{0});
        } else if constexpr (std::is_default_constructible_v<T>) {
            to.resize(old + count);
            if (count > 0) std::memcpy(to.data() + old, bytes.data(), bytes.size());
        } else {
            for (std::size_t i = 0; i < count; ++i) to.push_back(wire::decode<T>(bytes.subspan(i * sizeof(T), sizeof(T))));
        }
    } else {
        wire::Reader in(bytes);
        for (auto count = in.read<std::uint64_t>(); count > 0; --count) to.push_back(in.read<T>());
        if (in.remaining() != 0) throw SerializationError("a block of items from another rank is longer than its items");
    }
}

/// A range's elements in one row: the range's own memory where it is contiguous, else a copy.
template <class T>
class Rows {
  public:
    Rows() = default;
    template <class Range>
    explicit Rows(Range&& items) {
        if constexpr (std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range>) {
            data_ = std::ranges::data(items);
            size_ = std::ranges::size(items);
        } else if constexpr (std::is_same_v<T, bool>) {
            for (const bool item : items) copy_.push_back(item);
            data_ = reinterpret_cast<const bool*>(copy_.data());
            size_ = copy_.size();
        } else {
            for (auto&& item : items) copy_.push_back(std::forward<decltype(item)>(item));
            data_ = copy_.data();
            size_ = copy_.size();
        }
    }
    Rows(Rows&&) = default;

    const T* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    std::vector<std::conditional_t<std::is_same_v<T, bool>, unsigned char, T>> copy_;
    const T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace comm

/// A handle to the ranks of a job, cheap to copy. One thread at a time uses a communicator.
class Communicator {
  public:
    explicit Communicator(std::shared_ptr<comm::Transport> transport) : transport_(std::move(transport)) {}

    /// This process's number, from 0 to size()-1. Local.
    int rank() const { return comm::rank(*transport_); }
    /// Local.
    int size() const { return comm::size(*transport_); }

    /// Returns when every rank has called it. MPI_Barrier.
    void barrier() { comm::barrier(*transport_); }

    /// Root's value on every rank; the argument of the others does not count. MPI_Bcast.
    template <class T>
    T bcast(T value, int root = 0) {
        wire::require_transferable<T>();
        comm::check_root(*transport_, root);
        wire::Buffer bytes;
        if (rank() == root) wire::encode(bytes, value);
        comm::bcast(*transport_, bytes, root);
        if (rank() == root) return value;
        return wire::decode<T>(bytes);
    }

    /// Contiguous blocks of root's items in rank order, lengths differing by at most one; `items` count at root only.
    /// MPI_Scatterv.
    template <std::ranges::input_range Range>
    std::vector<std::ranges::range_value_t<Range>> scatterv(Range&& items, int root = 0) {
        using T = std::ranges::range_value_t<Range>;
        wire::require_transferable<T>();
        comm::check_root(*transport_, root);
        std::vector<wire::Buffer> blocks;
        std::vector<std::span<const std::byte>> parts;
        const comm::Rows<T> rows = rank() == root ? comm::Rows<T>(items) : comm::Rows<T>();
        if (rank() == root) {
            const auto ranks = static_cast<std::size_t>(size());
            const T* next = rows.data();
            blocks.resize(wire::is_bytes<T> ? 0 : ranks);
            for (std::size_t r = 0; r < ranks; ++r) {
                const std::size_t length = rows.size() / ranks + (r < rows.size() % ranks ? 1 : 0);
                if constexpr (wire::is_bytes<T>) {
                    parts.push_back({reinterpret_cast<const std::byte*>(next), length * sizeof(T)});
                } else {
                    comm::encode_block(blocks[r], next, length);
                    parts.push_back(blocks[r]);
                }
                next += length;
            }
        }
        std::vector<T> mine;
        comm::decode_block(comm::scatter(*transport_, parts, root), mine);
        return mine;
    }

    /// The blocks of all ranks joined in rank order at root; empty elsewhere. MPI_Gatherv.
    template <std::ranges::input_range Range>
    std::vector<std::ranges::range_value_t<Range>> gatherv(Range&& block, int root = 0) {
        using T = std::ranges::range_value_t<Range>;
        wire::require_transferable<T>();
        comm::check_root(*transport_, root);
        const comm::Rows<T> rows(block);
        wire::Buffer bytes;
        std::span<const std::byte> part;
        if constexpr (wire::is_bytes<T>) {
            part = {reinterpret_cast<const std::byte*>(rows.data()), rows.size() * sizeof(T)};
        } else {
            comm::encode_block(bytes, rows.data(), rows.size());
            part = bytes;
        }
        std::vector<T> all;
        for (const wire::Buffer& from : comm::gather(*transport_, part, root)) comm::decode_block(from, all);
        return all;
    }

    /// scatterv, `function` on each item, gatherv: Pool.map, SPMD style. `function` is each rank's own and may capture
    /// anything. Results in the order of `items` at root, empty elsewhere. An item's exception is thrown at root, with
    /// its index and rank in remote_info: the one of the smallest index; no rank hangs.
    template <class F, std::ranges::input_range Range>
    auto map(F&& function, Range&& items, int root = 0) {
        using T = std::ranges::range_value_t<Range>;
        using Returned = std::invoke_result_t<F&, T>;
        static_assert(!std::is_void_v<Returned>, "rankpool: the function of Communicator::map must return a value");
        using R = std::decay_t<Returned>;
        wire::require_transferable<R>();
        const comm::Rows<T> rows = rank() == root ? comm::Rows<T>(items) : comm::Rows<T>();
        const std::size_t count = bcast(rows.size(), root);
        std::vector<T> mine = scatterv(std::span<const T>(rows.data(), rows.size()), root);
        const auto ranks = static_cast<std::size_t>(size()), own = static_cast<std::size_t>(rank());
        std::size_t index = own * (count / ranks) + std::min(own, count % ranks);

        // Each rank answers with its results, or with the error of its first item that threw.
        wire::Buffer answer;
        const bool sound = true;
        answer.append(&sound, sizeof sound);
        try {
            wire::Buffer results;
            const std::uint64_t length = mine.size();
            results.append(&length, sizeof length);
            for (auto&& item : mine) {
                wire::encode<R>(results, function(static_cast<T>(std::move(item))));
                ++index;
            }
            answer.append(results.data(), results.size());
        } catch (...) {
            answer.clear();
            const bool failed = false;
            answer.append(&failed, sizeof failed);
            comm::encode_error(answer, index, rank(), std::current_exception());
        }
        std::vector<R> all;
        std::exception_ptr error;
        for (const wire::Buffer& from : comm::gather(*transport_, answer, root)) {
            wire::Reader in(from);
            if (!in.read<bool>()) {
                if (!error) error = comm::decode_error(in);
                continue;
            }
            for (auto length = in.read<std::uint64_t>(); length > 0 && !error; --length) all.push_back(in.read<R>());
        }
        if (error) std::rethrow_exception(error);
        return all;
    }

  private:
    std::shared_ptr<comm::Transport> transport_;
};

}  // namespace rankpool
