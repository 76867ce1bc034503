// What rankrun is about to do, in words, and the numbers that go with it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "options.hpp"

namespace rankrun {

/// RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE of a rank, NAME=value.
std::vector<std::string> rank_variables(const Options& options, int rank);

/// The words as a shell would take them: those with special characters are quoted.
std::string shell_text(const std::vector<std::string>& words);

/// "2.5" of 2500 ms.
std::string seconds_text(std::chrono::nanoseconds time);

/// The plan, a line for each rank, or the engine's command line. Throws Error.
std::string plan_text(const Options& options, const Bindings& bindings);

/// What a user should know about this plan before it starts, a line each; usually nothing.
std::vector<std::string> notes(const Options& options, const Bindings& bindings);

}  // namespace rankrun
