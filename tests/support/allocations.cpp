#include "allocations.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

namespace allocations {
namespace {

thread_local constinit std::size_t largest = 0;

}  // namespace

Largest::Largest() noexcept : outer_(std::exchange(largest, 0)) {}
Largest::~Largest() { largest = std::max(outer_, largest); }
std::size_t Largest::bytes() const noexcept { return largest; }

}  // namespace allocations

// The program's own; new[] and the nothrow forms of the standard library end here.
void* operator new(std::size_t bytes) {
    allocations::largest = std::max(allocations::largest, bytes);
    if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
