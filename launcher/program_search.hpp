// Finding the file that a program's name means.
#pragma once

#include <string>

#include "options.hpp"

namespace rankrun {

/// The executable file that the program's name means: searched in PATH as a shell does, or below the directory in which
/// the program starts. Throws Refusal with exit code 126 or 127.
std::string find_program(const Program& program);

/// The executable of that name in PATH; empty when there is none.
std::string find_in_path(const std::string& name);

}  // namespace rankrun
