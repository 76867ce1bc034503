// From types to bytes: the descriptor of "call F with an Item", and how items and results lie in memory.
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <variant>

#include <rankpool/task/callable.hpp>
#include <rankpool/task/descriptor.hpp>
#include <rankpool/task/value_bytes.hpp>

namespace rankpool::task {

/// Items and results that lie in memory as they are, in rows. Others are serialized one by one.
template <class T>
inline constexpr bool in_rows = wire::is_bytes<T> && !std::is_const_v<T> && alignof(T) <= 64;

/// What a function's result travels as: void as one byte that says nothing.
template <class F, class Item>
using RawResult = std::invoke_result_t<F&, Item&&>;
template <class F, class Item>
using Result = std::conditional_t<std::is_void_v<RawResult<F, Item>>, char, std::decay_t<RawResult<F, Item>>>;

template <class F, class Item>
struct Typed {
    using R = Result<F, Item>;

    static void* open(std::span<const std::byte> bytes) {
        wire::Reader in(bytes);
        return new F(Codec<F>::decode(in));
    }
    static void close(void* function) noexcept { delete static_cast<F*>(function); }

    static R call(F& function, Item&& item) {
        if constexpr (std::is_void_v<RawResult<F, Item>>) {
            std::invoke(function, std::move(item));
            return 0;
        } else {
            return std::invoke(function, std::move(item));
        }
    }

    // A copy of the row: it may lie in read-only memory that other workers share.
    static R call_row(F& function, const std::byte* row) {
        std::array<std::byte, sizeof(Item)> bytes;
        std::memcpy(bytes.data(), row, sizeof(Item));
        return call(function, std::bit_cast<Item>(bytes));
    }

    static R call_at(F& function, const Stretch& stretch, std::size_t index) {
        const std::size_t at = index - stretch.first;
        if constexpr (in_rows<Item>) {
            return call_row(function, stretch.items + at * sizeof(Item));
        } else {
            const std::uint64_t begin = *(stretch.ends + at - 1), end = *(stretch.ends + at);
            return call(function, wire::decode<Item>({stretch.items + begin, static_cast<std::size_t>(end - begin)}));
        }
    }

    static void run_one(F& function, Stretch& stretch, std::size_t index) {
        const R result = call_at(function, stretch, index);
        if constexpr (in_rows<R>)
            std::memcpy(stretch.results + (index - stretch.results_first) * sizeof(R), &result, sizeof(R));
        else
            wire::encode(*stretch.encoded, result);
    }

    static std::size_t run(void* opaque, Stretch& stretch, std::size_t begin, std::size_t end) {
        F& function = *static_cast<F*>(opaque);
        std::size_t index = begin;
        try {
            if (stretch.before_next != nullptr) {
                do run_one(function, stretch, index);
                while (++index != end && stretch.before_next(stretch, index));
            } else if constexpr (in_rows<R> && in_rows<Item>) {
                // By pointers of its own, which nothing else changes: a loop that the compiler can vectorize.
                const std::byte* __restrict item = stretch.items + (begin - stretch.first) * sizeof(Item);
                std::byte* __restrict place = stretch.results + (begin - stretch.results_first) * sizeof(R);
                for (; index != end; ++index, item += sizeof(Item), place += sizeof(R)) {
                    const R result = call_row(function, item);
                    std::memcpy(place, &result, sizeof(R));
                }
            } else {
                for (; index != end; ++index) run_one(function, stretch, index);
            }
        } catch (...) {
            stretch.error = std::current_exception();
        }
        return index;
    }

    static constexpr Descriptor descriptor{
        .item_size = in_rows<Item> ? sizeof(Item) : 0,
        .result_size = in_rows<R> ? sizeof(R) : 0,
        .alignment = alignof(Item) > alignof(R) ? alignof(Item) : alignof(R),
        .open = open,
        .close = close,
        .run = run,
        .result_type = &typeid(std::conditional_t<std::is_void_v<RawResult<F, Item>>, void, R>),
        .value_bytes = value_bytes_of<Item>(),
    };
};

}  // namespace rankpool::task
