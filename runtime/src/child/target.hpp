// What a Process does in its own process: call the target, and make an exit code of how that went.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "os/unique_fd.hpp"
#include <rankpool/task/descriptor.hpp>

namespace rankpool::child {

/// A target and its arguments, as they travel.
struct TargetOrders {
    const task::Descriptor& descriptor;
    std::span<const std::byte> function;
    std::span<const std::byte> arguments;

    std::vector<std::byte> to_bytes() const;
};

/// process::Work of a Process. Its only descriptor is the gate of life.hpp. Does not return: ends the process by
/// std::exit, so that the handlers which the target registered run.
int work_for_process(std::span<const std::byte> orders, std::vector<os::UniqueFd> descriptors);

}  // namespace rankpool::child
