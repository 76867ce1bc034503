// rank 0's side of pools over ranks: the post office on a thread of its own, and the manager that it brings its messages to.
#pragma once

#include <future>
#include <memory>
#include <optional>

#include "pool/manager.hpp"
#include "spmd/post.hpp"

namespace rankpool::pool {

class Lead {
  public:
    /// Throws what `open` throws.
    Lead(comm::Post::Of of, comm::Post::Open open);
    /// Waits until what was sent is out; see Post::stop.
    ~Lead();
    Lead(const Lead&) = delete;
    Lead& operator=(const Lead&) = delete;

    Manager& manager() { return *manager_; }

  private:
    std::promise<Manager*> made_;
    std::optional<comm::Post> post_;
    std::optional<Manager> manager_;
};

}  // namespace rankpool::pool
