// Operations of reductions: how a callable is applied to rows of values, and what is elementwise.
#pragma once

#include <concepts>
#include <cstring>
#include <functional>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <typeinfo>

#include <rankpool/comm/blocks.hpp>

namespace rankpool {

namespace comm {

template <class Op>
struct Native {
    Op op;
};
template <class T>
struct AsValue {
    const T& value;
};

template <class T>
inline constexpr bool is_native = false;
template <class Op>
inline constexpr bool is_native<Native<Op>> = true;
template <class T>
inline constexpr bool is_as_value = false;
template <class T>
inline constexpr bool is_as_value<AsValue<T>> = true;

/// The callable itself, marked or not.
template <class Op>
auto& callable(Op& op) {
    if constexpr (is_native<std::remove_const_t<Op>>)
        return op.op;
    else
        return op;
}

template <class Op, class T>
concept Combines = requires(Op& op, const T& a, const T& b) {
    { op(a, b) } -> std::convertible_to<T>;
};

template <class T>
inline constexpr bool is_string = false;
template <class Char, class Traits, class Allocator>
inline constexpr bool is_string<std::basic_string<Char, Traits, Allocator>> = true;
template <class T>
inline constexpr bool is_span = false;
template <class E, std::size_t N>
inline constexpr bool is_span<std::span<E, N>> = true;

/// Whether an argument is combined element by element: a span always, a string never, another contiguous range if the
/// operation can be called on its elements and not on itself.
template <class X, class Op>
consteval bool elementwise() {
    if constexpr (is_span<X>) {
        return true;
    } else if constexpr (std::ranges::contiguous_range<X> && !is_string<X>) {
        using Callable = std::remove_reference_t<decltype(callable(std::declval<Op&>()))>;
        constexpr bool whole = Combines<Callable, X>;
        constexpr bool each = Combines<Callable, std::ranges::range_value_t<X>>;
        static_assert(!(whole && each), "rankpool: the operation can be called on the range as well as on its elements: pass a std::span of the range to "
                                        "combine it element by element, or rankpool::as_value(range) to combine it as a whole");
        return each;
    } else {
        return false;
    }
}

template <class T>
consteval Fold::Element element_kind() {
    using E = Fold::Element;
    if constexpr (std::is_same_v<T, bool>) return E::boolean;
    else if constexpr (std::is_same_v<T, float>) return E::f32;
    else if constexpr (std::is_same_v<T, double>) return E::f64;
    else if constexpr (std::is_same_v<T, long double>) return E::f80;
    else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) return std::is_signed_v<T> ? E::i8 : E::u8;
    else if constexpr (std::is_integral_v<T> && sizeof(T) == 2) return std::is_signed_v<T> ? E::i16 : E::u16;
    else if constexpr (std::is_integral_v<T> && sizeof(T) == 4) return std::is_signed_v<T> ? E::i32 : E::u32;
    else if constexpr (std::is_integral_v<T> && sizeof(T) == 8) return std::is_signed_v<T> ? E::i64 : E::u64;
    else return E::bytes;
}

template <class Op, template <class> class Standard, class T>
inline constexpr bool is_standard = std::is_same_v<Op, Standard<void>> || std::is_same_v<Op, Standard<T>>;

/// MPI's own operation that an operation on a T is.
template <class Op, class T>
consteval Fold::Native native_kind() {
    using N = Fold::Native;
    if constexpr (!std::is_arithmetic_v<T>) return N::custom;
    else if constexpr (std::is_same_v<T, bool> && (is_standard<Op, std::logical_and, T> || is_standard<Op, std::bit_and, T> || is_standard<Op, std::multiplies, T>)) return N::logical_and;
    else if constexpr (std::is_same_v<T, bool> && (is_standard<Op, std::logical_or, T> || is_standard<Op, std::bit_or, T> || is_standard<Op, std::plus, T>)) return N::logical_or;
    else if constexpr (std::is_same_v<T, bool>) return N::custom;
    else if constexpr (is_standard<Op, std::plus, T>) return N::sum;
    else if constexpr (is_standard<Op, std::multiplies, T>) return N::product;
    else if constexpr (!std::is_integral_v<T>) return N::custom;
    else if constexpr (is_standard<Op, std::logical_and, T>) return N::logical_and;
    else if constexpr (is_standard<Op, std::logical_or, T>) return N::logical_or;
    else if constexpr (is_standard<Op, std::bit_and, T>) return N::bit_and;
    else if constexpr (is_standard<Op, std::bit_or, T>) return N::bit_or;
    else if constexpr (is_standard<Op, std::bit_xor, T>) return N::bit_xor;
    else return N::custom;
}

/// left[i] = op(left[i], right[i]); rows need not be aligned.
template <class T, class Op>
void apply_op(const void* opaque, std::byte* left_row, const std::byte* right_row, std::size_t count) {
    Op& op = *const_cast<Op*>(static_cast<const Op*>(opaque));
    std::byte* __restrict left = left_row;
    const std::byte* __restrict right = right_row;
    for (std::size_t i = 0; i < count; ++i, left += sizeof(T), right += sizeof(T)) {
        ByteArray<T> a, b;
        std::memcpy(a.data(), left, sizeof(T));
        std::memcpy(b.data(), right, sizeof(T));
        const T result = static_cast<T>(op(from_bytes<T>(a), from_bytes<T>(b)));
        std::memcpy(left, &result, sizeof(T));
    }
}

/// The operation for the transport. Refers to `op`.
template <class T, class Op>
Fold fold_of(Op& op) {
    using Callable = std::remove_reference_t<decltype(callable(op))>;
    static_assert(Combines<Callable, T>, "rankpool: the operation cannot be called with two of these values, or does not return one");
    Fold fold;
    fold.element_size = sizeof(T);
    fold.apply = apply_op<T, Callable>;
    fold.op = &callable(op);
    fold.native = is_native<std::remove_const_t<Op>> ? native_kind<std::remove_const_t<Callable>, T>() : Fold::Native::no;
    fold.element = element_kind<T>();
    fold.may_throw = !std::is_nothrow_invocable_v<Callable&, const T&, const T&>;
    return fold;
}

}  // namespace comm

/// Marks an operation: under MPI its own algorithm is used, in an order of its own; floating-point digits may then depend
/// on it. Over shared memory the ranks' order is as fast.
template <class Op>
comm::Native<std::decay_t<Op>> native(Op&& op) {
    return {std::forward<Op>(op)};
}

/// Marks a range that is to be combined as a whole, not element by element. Refers to it.
template <class T>
comm::AsValue<T> as_value(const T& value) {
    return {value};
}

}  // namespace rankpool
