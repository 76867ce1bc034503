// How this test binary is told to end with a pool that nobody closed, instead of running tests.
#pragma once

#include <string_view>

namespace semantics {

inline constexpr std::string_view end_without_run = "--end-with-a-pool";
inline constexpr std::string_view end_inside_run = "--end-with-a-pool-inside-run";
// The same by std::exit(3), past a pool on main's stack.
inline constexpr std::string_view exit_without_run = "--exit-with-a-pool";
inline constexpr std::string_view exit_inside_run = "--exit-with-a-pool-inside-run";

}  // namespace semantics
