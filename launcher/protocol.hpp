// What front and minder say to each other.
#pragma once

#include <cstdint>

namespace rankrun {

/// Front to minder: a signal for the ranks. A terminal sends its signals to the front's whole process group, which has
/// the rank in it that reads from the terminal: that one has it already.
struct SignalNotice {
    std::int32_t signal;
    std::int32_t from_terminal;
};

/// Minder to front, once, at the end.
struct Verdict {
    std::int32_t exit_code;
};

}  // namespace rankrun
