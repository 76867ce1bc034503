// What is known of a message besides its value.
#pragma once

#include <cstddef>

namespace rankpool {

/// For a receive or a probe: from every rank, with every tag.
inline constexpr int any_source = -1;
inline constexpr int any_tag = -1;
/// Tags go from 0 to this one.
inline constexpr int largest_tag = (1 << 20) - 1;

struct Status {
    int source = any_source;
    int tag = any_tag;
    std::size_t bytes = 0;  // of the value as it travelled
};

}  // namespace rankpool
