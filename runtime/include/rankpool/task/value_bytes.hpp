// Which bytes of a trivially copyable value say something: padding between members differs from one run to the next,
// and must not make two equal items different.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include <rankpool/transferable.hpp>

namespace rankpool::task {

/// Whether values of this type may have padding: where this is false all of their bytes count.
template <class T>
inline constexpr bool may_be_padded =
    !std::has_unique_object_representations_v<T> && !std::is_same_v<T, float> && !std::is_same_v<T, double>;

/// Fills the bytes of `mask`, sizeof(T) of them and all zero, that belong to a T's value. Without the compiler's help
/// that is seen in aggregates and arrays; everything else counts as a whole.
template <class T>
void mark_value_bytes(std::byte* mask) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define RANKPOOL_CLEARS_PADDING
#endif
#endif
#ifdef RANKPOOL_CLEARS_PADDING
    alignas(T) std::byte value[sizeof(T)];
    std::memset(value, 0xff, sizeof value);
    __builtin_clear_padding(reinterpret_cast<T*>(value));
    std::memcpy(mask, value, sizeof value);
#undef RANKPOOL_CLEARS_PADDING
#else
    if constexpr (std::is_same_v<T, long double>) {
        std::memset(mask, 0xff, 10);
    } else if constexpr (std::is_array_v<T>) {
        for (std::size_t i = 0; i < std::extent_v<T>; ++i)
            mark_value_bytes<std::remove_extent_t<T> >(mask + i * sizeof(std::remove_extent_t<T>));
    } else if constexpr (wire::is_std_array<T>) {
        using Element = typename T::value_type;
        for (std::size_t i = 0; i < std::tuple_size_v<T>; ++i) mark_value_bytes<Element>(mask + i * sizeof(Element));
    } else if constexpr (may_be_padded<T> && wire::NamedFields<T>) {
        alignas(T) std::byte value[sizeof(T)] = {};  // for the places of its members only
        wire::visit_fields(*reinterpret_cast<T*>(value), [&](auto&... fields) {
            (mark_value_bytes<std::remove_cvref_t<decltype(fields)> >(
                 mask +
                 (reinterpret_cast<std::byte*>(&const_cast<std::remove_cvref_t<decltype(fields)>&>(fields)) - value)),
             ...);
        });
    } else {
        std::memset(mask, 0xff, sizeof(T));
    }
#endif
}

/// mark_value_bytes for items that travel in rows and may be padded; null for others.
template <class T>
constexpr auto value_bytes_of() -> void (*)(std::byte*) {
    if constexpr (wire::is_bytes<T>) {
        if constexpr (may_be_padded<T>) return mark_value_bytes<T>;
    }
    return nullptr;
}

}  // namespace rankpool::task
