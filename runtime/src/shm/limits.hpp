// Where one way of doing a collective operation over shared memory gives way to the next. benchmarks/collectives.py shows
// the effect of a change.
#pragma once

#include <cstddef>

namespace rankpool::shm::limits {

/// Ranks up to which everybody looks at everybody's slot; more of them count their arrivals in one place.
inline constexpr int heard_one_by_one = 16;
/// Rooted operations on blocks of this size or more: both sides of a copy between two ranks' memory do a part of it.
inline constexpr std::size_t shared_copy = std::size_t{128} << 10;
/// reduce: up to here root folds everything, above each rank folds a slice.
inline constexpr std::size_t fold_at_root = std::size_t{8} << 10;
/// allreduce: up to here (bytes of all ranks together) everybody folds everything.
inline constexpr std::size_t fold_everywhere = std::size_t{16} << 10;
/// Bytes that are folded at once: those of two rows stay in the first-level cache.
inline constexpr std::size_t fold_tile = std::size_t{64} << 10;

}  // namespace rankpool::shm::limits
