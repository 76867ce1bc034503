// What this machine offers to a job: rankrun --info.
#pragma once

#include <string>

namespace rankrun {

/// A line for each thing, "name: value". Throws what process_cpu_count throws.
std::string info_text();

}  // namespace rankrun
