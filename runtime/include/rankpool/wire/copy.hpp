// Copying, where memcpy can be slow.
//
// On x86 the C library copies more than about two kilobytes by one instruction (`rep movsb`). Where that is microcode that
// compares only the low twelve bits of addresses, a target that lies up to 31 bytes ahead of its source by these bits is
// copied byte by byte, twenty times slower (seen on AMD's family 25). That is no rare case: blocks of malloc that are large lie
// 16 bytes behind the begin of a page, and shared memory at the begin of one. The kernel copies from one process to another
// by the same instruction, page by page; the C library stops using it for large blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rankpool::wire {

/// Shorter copies are never slow ones.
inline constexpr std::size_t shortest_slow_copy = 2048;

/// Whether a copy of this length may be a slow one.
inline bool copies_slowly(const void* to, const void* from, std::size_t bytes) noexcept {
#if defined(__x86_64__)
    return bytes >= shortest_slow_copy && (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from) - 1) % 4096 < 31;
#else
    (void)to, (void)from, (void)bytes;
    return false;
#endif
}

/// memmove, for any number of bytes and with null pointers for none.
inline void copy_bytes(void* target, const void* source, std::size_t bytes) noexcept {
    if (bytes == 0 || target == source) return;
    auto* to = static_cast<std::byte*>(target);
    const auto* from = static_cast<const std::byte*>(source);
    const auto apart = reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from);
    constexpr std::size_t large = std::size_t{512} << 10;
    if (!copies_slowly(to, from, bytes) || bytes >= large || apart < bytes || -apart < bytes) {
        std::memmove(to, from, bytes);
        return;
    }
    // From behind: no load comes soon after a store that it seems to overlap.
    constexpr std::size_t line = 64;
    std::size_t rest = bytes;
    for (; rest >= line; rest -= line) {
        std::memcpy(to + rest - line, from + rest - line, line);
        asm volatile("" : : : "memory");  // no compiler makes one memcpy of it
    }
    std::memcpy(to, from, rest);
}

}  // namespace rankpool::wire
