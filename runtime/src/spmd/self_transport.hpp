// The transport of a program that runs alone: one rank.
#pragma once

#include "spmd/message_collectives.hpp"

#include <deque>

namespace rankpool::comm {

class SelfTransport final : public MessageCollectives {
  public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    int local_size() const override { return 1; }
    void send(int destination, int tag, std::span<const std::byte> bytes) override;
    std::optional<Message> try_receive(int source, int tag) override;
    Message receive(int source, int tag) override;
    void wait(std::chrono::nanoseconds) override {}
    void wake() override {}
    [[noreturn]] void abort(int exit_code) override;
    void finish() override {}

  private:
    std::deque<Message> arrived_;
};

}  // namespace rankpool::comm
