// Task functions as bytes: how a callable is taken apart here and put together in a worker.
//
// A task function is a function pointer, a captureless lambda, a function object that is transferable, or a lambda whose
// captures are trivially copyable. Adapters (Star, Nullary) wrap one and travel as the one they wrap.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rankpool/transferable.hpp>
#include <rankpool/wire/archive.hpp>

namespace rankpool::task {

/// Throws std::invalid_argument when an aligned word of the captured bytes points into this process's memory: such a
/// capture (a reference, a pointer) would mean something else, or nothing, in another process. A help, not a proof.
void refuse_captured_addresses(std::span<const std::byte> captured, const char* type_name);

/// Code addresses as bytes; see api: modules are identified by build-id.
void encode_code_address(wire::Buffer& out, const void* address);
/// `readable`: so many bytes must lie there, or it throws Error.
const void* decode_code_address(wire::Reader& in, std::size_t readable = 1);

/// Whether byte I of an F is part of a value. In a constant expression the compiler knows: it refuses to read padding.
template <class F, std::size_t I, class Bytes = std::array<unsigned char, sizeof(F)>>
concept ValueByte = requires { typename std::integral_constant<unsigned char, std::bit_cast<Bytes>(std::bit_cast<F>(Bytes{}))[I]>; };
/// Whether it tells; of a type with a pointer or a union it does not, and for a long one it would take it long.
template <class F, class Bytes = std::array<unsigned char, sizeof(F)>>
concept KnownPadding = sizeof(F) <= 256 && requires { typename std::bool_constant<((void)std::bit_cast<F>(Bytes{}), true)>; };

#ifdef __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define RANKPOOL_CLEAR_PADDING
#endif
#endif

/// The bytes of an F, its padding cleared where that can be done: padding holds whatever was in its place before, an
/// address perhaps.
template <class F>
std::array<std::byte, sizeof(F)> bytes_without_padding(const F& function) {
    alignas(F) std::array<std::byte, sizeof(F)> bytes;
    std::memcpy(bytes.data(), &function, sizeof(F));
#ifdef RANKPOOL_CLEAR_PADDING
    __builtin_clear_padding(std::launder(reinterpret_cast<F*>(bytes.data())));
#else
    if constexpr (KnownPadding<F>) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            ((bytes[I] = ValueByte<F, I> ? bytes[I] : std::byte{0}), ...);
        }(std::make_index_sequence<sizeof(F)>{});
    }
#endif
    return bytes;
}
#undef RANKPOOL_CLEAR_PADDING

template <class F>
inline constexpr bool is_function_pointer = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

/// How a callable of type F travels. The primary template is for class types.
template <class F>
struct Codec {
    static_assert(std::is_class_v<F>, "rankpool: a task function must be a function pointer, a lambda or a function object");
    static constexpr bool as_bytes = std::is_trivially_copyable_v<F>;
    static_assert(as_bytes || Transferable<F>,
                  "rankpool: this function object or lambda cannot travel to a worker: its captures are not trivially "
                  "copyable. Pass the data as items, or use a function object with serializable members.");

    static void encode(wire::Buffer& out, const F& function, bool trusted) {
        if constexpr (std::is_empty_v<F>) {
            (void)out, (void)function, (void)trusted;
        } else if constexpr (as_bytes) {
            if (!trusted) refuse_captured_addresses(bytes_without_padding(function), typeid(F).name());
            out.append(&function, sizeof function);
        } else {
            wire::encode(out, function);
        }
    }

    static F decode(wire::Reader& in) {
        if constexpr (std::is_empty_v<F> && std::is_default_constructible_v<F>) {
            (void)in;
            return F{};
        } else if constexpr (as_bytes) {
            alignas(F) std::array<std::byte, sizeof(F)> bytes{};
            if constexpr (!std::is_empty_v<F>) in.read_bytes(bytes.data(), sizeof(F));
            return *std::launder(reinterpret_cast<F*>(bytes.data()));
        } else {
            return in.read<F>();
        }
    }
};

template <class F>
    requires is_function_pointer<F>
struct Codec<F> {
    static void encode(wire::Buffer& out, F function, bool) {
        if (function == nullptr) throw std::invalid_argument("rankpool: a null function pointer was given as task function");
        encode_code_address(out, reinterpret_cast<const void*>(function));
    }
    static F decode(wire::Reader& in) { return reinterpret_cast<F>(const_cast<void*>(decode_code_address(in))); }
};

/// A callable that takes a tuple and calls `function` with its elements: Python's starmap.
template <class F>
struct Star {
    F function;
    template <class Tuple>
    decltype(auto) operator()(Tuple&& arguments) {
        return std::apply(function, std::forward<Tuple>(arguments));
    }
};

/// A callable without arguments, as one that takes an item and ignores it.
template <class F>
struct Nullary {
    F function;
    decltype(auto) operator()(char) { return function(); }
};

/// A callable whose captured bytes are not looked at; made by rankpool::trusted().
template <class F>
struct Trusted {
    F function;
    template <class... Args>
    decltype(auto) operator()(Args&&... arguments) {
        return function(std::forward<Args>(arguments)...);
    }
};

template <class F>
struct Codec<Star<F>> {
    static void encode(wire::Buffer& out, const Star<F>& star, bool trusted) { Codec<F>::encode(out, star.function, trusted); }
    static Star<F> decode(wire::Reader& in) { return {Codec<F>::decode(in)}; }
};
template <class F>
struct Codec<Nullary<F>> {
    static void encode(wire::Buffer& out, const Nullary<F>& nullary, bool trusted) { Codec<F>::encode(out, nullary.function, trusted); }
    static Nullary<F> decode(wire::Reader& in) { return {Codec<F>::decode(in)}; }
};
template <class F>
struct Codec<Trusted<F>> {
    static void encode(wire::Buffer& out, const Trusted<F>& trusted, bool) { Codec<F>::encode(out, trusted.function, true); }
    static Trusted<F> decode(wire::Reader& in) { return {Codec<F>::decode(in)}; }
};

}  // namespace rankpool::task

namespace rankpool {

/// A task function whose captures are known to be sound: the guard against captured addresses does not look at it.
template <class F>
task::Trusted<std::decay_t<F>> trusted(F&& function) {
    return {std::forward<F>(function)};
}

}  // namespace rankpool
