// Unix sockets that carry bytes and descriptors between our own processes.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "os/unique_fd.hpp"

namespace rankpool::os {

/// A connected pair (SOCK_SEQPACKET, close-on-exec): packets keep their boundaries.
struct SocketPair {
    UniqueFd first, second;
};
SocketPair socket_pair();

/// Sends one packet with descriptors attached. Returns false when the peer is gone; throws Error otherwise.
bool send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors = {});

/// One packet. `alive` is false when the peer has closed its end or died.
struct Packet {
    bool alive = false;
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> descriptors;  // close-on-exec
};
/// Waits for a packet of at most `limit` bytes; a longer one, or one with more descriptors than a packet can carry, is
/// an Error.
Packet receive_packet(int socket, std::size_t limit);

}  // namespace rankpool::os
