// The seam between the typed face of a pool and its compiled body: calls and streams, in bytes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <rankpool/options.hpp>
#include <rankpool/task/descriptor.hpp>
#include <rankpool/wire/buffer.hpp>
#include <rankpool/worker.hpp>

namespace rankpool::pool {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

/// The time that is `wait` from now; the far future for a very long wait. A negative wait is over already.
Deadline deadline_after(std::chrono::nanoseconds wait);

/// The items of a call: `count` of them in rows of `item_size` bytes, or serialized (item_size 0) with their `ends`.
struct CallInput {
    std::size_t count = 0;
    std::size_t item_size = 0;
    const std::byte* bytes = nullptr;
    const std::uint64_t* ends = nullptr;
    const std::map<std::size_t, std::exception_ptr>* refused = nullptr;  // by index: items that could not be serialized
};

/// What came back. Fixed-size results are written to `rows`, which the caller provides; serialized ones are handed to
/// `take`, where there is one, else kept here.
struct CallOutput {
    bool keep_errors = false;  // every item's error, else only that of the smallest index
    std::byte* rows = nullptr;
    /// Makes a value of a result's bytes, and puts it in its place among `results`. Must call nothing of the user's.
    void (*take)(void* results, std::size_t index, std::span<const std::byte> bytes) = nullptr;
    void* results = nullptr;
    std::vector<std::span<const std::byte>> values;  // by index
    std::deque<wire::Buffer> storage;                // what `values` point into
    std::map<std::size_t, std::exception_ptr> errors;  // by index
    std::exception_ptr error;                          // of the smallest index, or of the pool as a whole
    bool ended = false;  // before its time: `error` says why, whatever became of items
};

class Core;
class Call;
class Stream;

/// Runs a call to its end; errors of items are in `output`. Throws what concerns the pool as a whole.
void run_call(const std::shared_ptr<Core>& core, const task::Descriptor& descriptor, std::span<const std::byte> function,
              const CallInput& input, const MapOptions& options, CallOutput& output);

/// Begins a call and returns. `owner` holds input and output, and is held until the call is over.
std::shared_ptr<Call> start_call(const std::shared_ptr<Core>& core, const task::Descriptor& descriptor,
                                 std::span<const std::byte> function, const CallInput& input, const MapOptions& options,
                                 CallOutput& output, std::shared_ptr<void> owner);
/// Waits until the call is over; false when `until` has passed.
bool wait_for(Call& call, Deadline until);
bool is_over(const Call& call);
/// Calls `then` on the pool's service thread once the call is over; at once, here, if it is. What it throws is reported.
void when_over(Call& call, std::function<void()> then);

/// Thrown by a Pull for an item that cannot be serialized: an error of that item, not of the input.
struct RefusedItem {
    std::exception_ptr error;
};
/// The next item of a stream's input, appended; false at its end. What else it throws is the input's error.
using Pull = std::function<bool(wire::Buffer& item)>;

struct StreamItem {
    enum { result, error, end, timeout } kind = end;
    std::size_t index = 0;
    wire::Buffer bytes;        // of the result
    std::exception_ptr what;
};

/// A call whose input is read as its results are asked for; `ordered`: results in the order of the input.
std::shared_ptr<Stream> open_stream(const std::shared_ptr<Core>& core, const task::Descriptor& descriptor,
                                    std::span<const std::byte> function, const MapOptions& options, bool ordered, Pull pull);
StreamItem next_of(Stream& stream, Deadline until);
/// Nobody wants the rest: what was not started is dropped.
void drop_stream(Stream& stream);

}  // namespace rankpool::pool
