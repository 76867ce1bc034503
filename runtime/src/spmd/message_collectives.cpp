#include "spmd/message_collectives.hpp"

namespace rankpool::comm {

void MessageCollectives::barrier() {
    for (int distance = 1; distance < size(); distance *= 2) {
        send((rank() + distance) % size(), tag_barrier, {});
        receive((rank() - distance % size() + size()) % size(), tag_barrier);
    }
}

void MessageCollectives::bcast(wire::Buffer& bytes, int root) {
    // Ranks counted from root: each receives from the one that lacks its lowest set bit, then serves those below it.
    const int relative = (rank() - root + size()) % size();
    int bit = 1;
    for (; bit < size(); bit *= 2) {
        if ((relative & bit) == 0) continue;
        bytes = receive((relative - bit + root) % size(), tag_bcast).bytes;
        break;
    }
    for (bit /= 2; bit > 0; bit /= 2)
        if (relative + bit < size()) send((relative + bit + root) % size(), tag_bcast, bytes);
}

wire::Buffer MessageCollectives::scatter(const std::vector<std::span<const std::byte>>& parts, int root) {
    if (rank() != root) return receive(root, tag_scatter).bytes;
    for (int other = 0; other < size(); ++other)
        if (other != root) send(other, tag_scatter, parts[static_cast<std::size_t>(other)]);
    wire::Buffer own;
    const auto part = parts[static_cast<std::size_t>(root)];
    own.append(part.data(), part.size());
    return own;
}

std::vector<wire::Buffer> MessageCollectives::gather(std::span<const std::byte> part, int root) {
    std::vector<wire::Buffer> parts;
    if (rank() != root) {
        send(root, tag_gather, part);
        return parts;
    }
    for (int other = 0; other < size(); ++other) {
        if (other == root) {
            parts.emplace_back();
            parts.back().append(part.data(), part.size());
        } else {
            parts.push_back(receive(other, tag_gather).bytes);
        }
    }
    return parts;
}

}  // namespace rankpool::comm
