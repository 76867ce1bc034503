// Which rank is pinned to which core.
//
// Only cores inside this process's own affinity mask are used, one for each rank, in the order in which they lie in the
// machine. When there are more ranks than cores, but not more than CPUs, each rank gets one CPU. When ranks outnumber
// the usable CPUs nobody is bound: two ranks that must share a CPU for ever are worse off than two that may move.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace rankrun {

class Bindings {
  public:
    /// For `ranks` ranks; all of them unbound where `bind` is false, without looking at the machine. Throws Error.
    Bindings(int ranks, bool bind);

    /// The CPUs that a rank is bound to, by the system's numbers; empty: not bound.
    const std::vector<int>& of(int rank) const { return of_rank_[static_cast<std::size_t>(rank)]; }
    /// Binding was asked for and cannot be had.
    bool left_out() const { return left_out_; }

    /// "is bound to core 1 (CPU 1)", as planned.
    std::string text(int rank) const;
    /// The same from what the system says of a process.
    std::string report(int rank, pid_t pid) const;

  private:
    std::vector<std::vector<int>> of_rank_;
    std::vector<std::string> core_of_rank_;  // "core 1"
    bool left_out_ = false;
};

}  // namespace rankrun
