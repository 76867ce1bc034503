// Types by the names that people know them by.
#pragma once

#include <string>

namespace rankpool::wire {

/// What typeid(T).name() stands for, as the program spells it: without the marks of the library's second string, and the names
/// behind its names. Itself if it stands for nothing.
std::string demangled(const char* name);

}  // namespace rankpool::wire
