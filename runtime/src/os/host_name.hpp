// This machine's name, as messages and WorkerInfo give it.
#pragma once

#include <string>

namespace rankpool::os {

std::string host_name();

}  // namespace rankpool::os
