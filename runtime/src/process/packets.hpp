// What the owner of a fork server and the server say to each other: one packet each, SOCK_SEQPACKET.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rankpool::process {

enum class Order : std::uint32_t { spawn, kill, signal };  // kill: the process group; signal: the process alone

/// Owner to server. A spawn carries descriptors: [specification memfd, working directory, stdout, stderr, the work's…].
struct Request {
    Order order;
    std::uint32_t kind;
    std::uint64_t child;
    std::int32_t signal;
    std::uint64_t specification_bytes;
};
inline constexpr std::size_t standard_descriptors = 4;

enum class News : std::uint32_t { ready, started, failed, ended };

/// Server to owner.
struct Report {
    News news;
    std::uint64_t child;
    std::int64_t value;  // ready, started: a pid; failed: errno; ended: the status of waitpid
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return {reinterpret_cast<const std::byte*>(&value), sizeof value};
}

}  // namespace rankpool::process
