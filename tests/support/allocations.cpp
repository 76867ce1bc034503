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

// The program's own, in all forms but the aligned ones: a sanitizer's would not fit to these.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    allocations::largest = std::max(allocations::largest, bytes);
    return std::malloc(bytes > 0 ? bytes : 1);
}
void* operator new(std::size_t bytes) {
    if (void* memory = operator new(bytes, std::nothrow)) return memory;
    throw std::bad_alloc();
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return operator new(bytes, std::nothrow); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
