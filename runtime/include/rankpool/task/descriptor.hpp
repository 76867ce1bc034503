// What is shipped instead of a function: the address of a constant in read-only data that knows how to run it.
//
// The address travels as (module, offset). Before anything is called through it, the receiver checks magic, size and
// signature, so a reference into another build is an error and not a jump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <typeinfo>

#include <rankpool/wire/buffer.hpp>

namespace rankpool::task {

/// A stretch of items as a worker sees them.
struct Stretch {
    const std::byte* items = nullptr;     // fixed-size items: item i lies at items + (i - first) * item_size
    const std::uint64_t* ends = nullptr;  // serialized items: item i is items[ends[i - first - 1 .. i - first)), ends[-1] valid
    std::size_t first = 0;                // index of the first item of the stretch
    std::byte* results = nullptr;         // fixed-size results: that of item i goes to results + (i - results_first) * result_size
    std::size_t results_first = 0;
    wire::Buffer* encoded = nullptr;      // serialized results: appended here
    std::exception_ptr error;             // what an item threw, or `before_next`
    /// Of whoever follows the items one by one: called behind each with the index of the next; false: that is not started.
    bool (*before_next)(Stretch&, std::size_t next) = nullptr;
    void* follower = nullptr;             // for before_next
};

struct Descriptor {
    static constexpr std::uint64_t expected_magic = 0x32736174'6c6f6f70;  // "pooltas2"

    std::uint64_t magic = expected_magic;
    std::uint32_t size = sizeof(Descriptor);
    std::uint32_t item_size = 0;     // 0: items are serialized
    std::uint32_t result_size = 0;   // 0: results are serialized
    std::uint32_t alignment = 1;     // the larger of the two types'
    /// Rebuilds the function object from its bytes.
    void* (*open)(std::span<const std::byte> function) = nullptr;
    void (*close)(void* function) noexcept = nullptr;
    /// Runs items [begin, end), at least one, in order until one throws: returns its index with `error` set; else `end`, or
    /// the first that `before_next` did not want. What that throws is taken for an error of the item that it was asked about.
    std::size_t (*run)(void* function, Stretch& stretch, std::size_t begin, std::size_t end) = nullptr;
    /// What results are: void where the function returns nothing.
    const std::type_info* result_type = nullptr;
    /// Marks the bytes of a row that belong to its value; the others are padding. Null where all of them do.
    void (*value_bytes)(std::byte* mask) = nullptr;
};

}  // namespace rankpool::task
