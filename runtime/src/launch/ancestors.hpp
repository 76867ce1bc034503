// The processes above this one.
#pragma once

#include <functional>
#include <optional>

#include "os/files.hpp"

namespace rankpool::launch {

/// The nearest, from the parent upwards, that is `wanted`.
std::optional<os::ProcessStat> find_ancestor(const std::function<bool(const os::ProcessStat&)>& wanted);

}  // namespace rankpool::launch
