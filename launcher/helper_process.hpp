// Processes of the launcher's own that move bytes: they may have to wait for a reader or a writer outside, and the
// minder must not.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

namespace rankrun {

/// Starts a process that does `work` and ends with what it returns. It is called `name`, keeps the standard streams and
/// `descriptors` and nothing else, and ends with its parent. In process group `group`; 0: the parent's.
pid_t start_helper(const char* name, const std::vector<int>& descriptors, pid_t group,
                   const std::function<int()>& work);

}  // namespace rankrun
