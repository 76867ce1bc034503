// A hash of bytes that is the same in every build and on every machine of one byte order: XXH64, as its public
// description defines it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rankpool::journal {

std::uint64_t hash(std::span<const std::byte> bytes, std::uint64_t seed);

}  // namespace rankpool::journal
