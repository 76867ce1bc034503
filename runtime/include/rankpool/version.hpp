// The version, in one place: CMake reads it from here, programs read it as macros or through version().
#pragma once

#include <string>

#define RANKPOOL_VERSION_MAJOR 0
#define RANKPOOL_VERSION_MINOR 1
#define RANKPOOL_VERSION_PATCH 0

namespace rankpool {

/// The version of the library that is loaded, as "major.minor.patch". Local.
std::string version();

}  // namespace rankpool
