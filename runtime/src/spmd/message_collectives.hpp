// Collectives made of messages: what a transport without collectives of its own inherits.
//
// barrier: dissemination, ceil(log2 n) rounds. bcast: a binomial tree. scatter and gather: root and every rank, directly.
#pragma once

#include "spmd/transport.hpp"

namespace rankpool::comm {

class MessageCollectives : public Transport {
  public:
    void barrier() override;
    void bcast(wire::Buffer& bytes, int root) override;
    wire::Buffer scatter(const std::vector<std::span<const std::byte>>& parts, int root) override;
    std::vector<wire::Buffer> gather(std::span<const std::byte> part, int root) override;
};

}  // namespace rankpool::comm
