// How many threads the numerical libraries in a worker may start, so that workers and threads do not multiply.
#pragma once

#include <cstdint>

namespace rankpool::pool {

/// Makes `threads` the default of OpenMP, OpenBLAS, MKL and BLIS, for libraries that are loaded already and for those to
/// come, unless the program set a number itself.
void limit_library_threads(std::uint64_t threads);

}  // namespace rankpool::pool
