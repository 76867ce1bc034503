// How much memory a piece of code asks operator new for: a damaged length must be refused before it is believed.
#pragma once

#include <cstddef>

namespace allocations {

/// While it lives, notes the largest single request of this thread.
class Largest {
  public:
    Largest() noexcept;
    ~Largest();
    Largest(const Largest&) = delete;
    Largest& operator=(const Largest&) = delete;

    std::size_t bytes() const noexcept;

  private:
    std::size_t outer_;
};

}  // namespace allocations
