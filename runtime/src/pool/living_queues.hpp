// The executors of this process that have not ended: what was submitted to them completes before the program ends.
#pragma once

#include <memory>

#include "pool/task_queue.hpp"

namespace rankpool::pool {

/// From now on the end of the program completes this queue, if nobody does before.
void complete_at_end(const std::shared_ptr<TaskQueue>& queue);
/// Completes it on a thread of its own, which the end of the program waits for.
void complete_in_background(const std::shared_ptr<TaskQueue>& queue);
/// The end of the program, or of main: completes all of them.
void complete_executors();

}  // namespace rankpool::pool
