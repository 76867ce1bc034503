// The process that gives standard input to all ranks: see standard_input.hpp for its place.
//
// What has come is looked at without being taken, and offered: a page for each rank. When the quickest rank has read
// all of it, it is taken from standard input and the next page is looked at. Slower ranks get it from memory, which
// holds what some rank has not been offered yet. At the end what the quickest rank has read, and no more, has been
// taken. (A terminal cannot be looked at in that way: a line is taken when it has been typed.)
#pragma once

#include <vector>

#include "os/unique_fd.hpp"

namespace rankrun {

/// Distributes standard input to `pipes`, the ranks' writing ends without waiting and of one page each, until `ending`
/// is closed by its other side. Returns the process's exit code.
int feed(std::vector<rankpool::os::UniqueFd> pipes, int ending);

}  // namespace rankrun
