// How this test binary is told to end with a pool that nobody closed, instead of running tests.
#pragma once

#include <string_view>

namespace semantics {

inline constexpr std::string_view end_without_run = "--end-with-a-pool";
inline constexpr std::string_view end_inside_run = "--end-with-a-pool-inside-run";

}  // namespace semantics
