// The seam between the typed face of a pool and its compiled body: one call, in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <rankpool/options.hpp>
#include <rankpool/task/descriptor.hpp>
#include <rankpool/wire/buffer.hpp>
#include <rankpool/worker.hpp>

namespace rankpool::pool {

/// The items of a call: `count` of them in rows of `item_size` bytes, or serialized (item_size 0) with their `ends`.
struct CallInput {
    std::size_t count = 0;
    std::size_t item_size = 0;
    const std::byte* bytes = nullptr;
    const std::uint64_t* ends = nullptr;
};

/// What came back. Fixed-size results are written to `rows`, which the caller provides; serialized ones are kept here.
/// `error` is that of the smallest index that failed.
struct CallOutput {
    std::byte* rows = nullptr;
    std::vector<std::span<const std::byte>> values;  // by index
    std::deque<wire::Buffer> storage;                // what `values` point into
    std::size_t error_index = 0;
    std::exception_ptr error;
};

class Core;

/// Runs a call to its end; errors of items are in `output`. Throws what concerns the pool as a whole.
void run_call(Core& core, const task::Descriptor& descriptor, std::span<const std::byte> function, const CallInput& input,
              const MapOptions& options, CallOutput& output);

}  // namespace rankpool::pool
