// The work of each kind of child, as the program's entry registered it.
#pragma once

#include "process/child.hpp"

namespace rankpool::process {

const Works& program_works();

}  // namespace rankpool::process
