#include "os/socket.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "os/failure.hpp"
#include <rankpool/error.hpp>

namespace rankpool::os {
namespace {
constexpr std::size_t max_descriptors = 16;
}

SocketPair socket_pair() {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

bool send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
    if (descriptors.size() > max_descriptors) throw Error("send_packet: too many descriptors for one packet");
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(max_descriptors * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    if (retry_interrupted([&] { return sendmsg(socket, &message, MSG_NOSIGNAL); }) >= 0) return true;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    fail("sendmsg");
}

Packet receive_packet(int socket, std::size_t limit) {
    Packet packet;
    packet.bytes.resize(limit);
    iovec part{packet.bytes.data(), packet.bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(max_descriptors * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = retry_interrupted([&] { return recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
    if (got < 0 && errno != ECONNRESET) fail("recvmsg");
    for (cmsghdr* header = got < 0 ? nullptr : CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            packet.descriptors.emplace_back(fd);
        }
    }
    if (got > 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        throw Error("recvmsg: a packet is longer than the protocol allows");
    packet.alive = got > 0;
    packet.bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return packet;
}

}  // namespace rankpool::os
