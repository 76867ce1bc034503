// The fixtures of the behaviours that Python's and MPI's own suites check; each test is named after its number in that list.
#pragma once

#include "executor/executors.hpp"

namespace executor_test {

class Semantics : public OnExecutor {};
/// What has a meaning only where tasks run in processes.
class ProcessSemantics : public OnExecutor {
  protected:
    ExecutorOptions breaking(int workers = 2) const {
        auto chosen = options(workers);
        chosen.on_loss = rankpool::OnLoss::break_pool;
        return chosen;
    }
};

}  // namespace executor_test
