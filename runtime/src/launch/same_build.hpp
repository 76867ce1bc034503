// All ranks of a job run the same build of the program: code is shipped as a place in it.
#pragma once

#include <rankpool/comm/transport.hpp>

namespace rankpool::launch {

/// Collective. Throws LaunchError, with the same text on every rank, when the builds differ.
void require_same_build(comm::Transport& transport);

}  // namespace rankpool::launch
