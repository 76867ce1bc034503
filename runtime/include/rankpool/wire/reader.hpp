// Reading what another process wrote: every length is checked before it is believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <rankpool/error.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::wire {

/// A position in a row of bytes. Refers to them.
class Reader {
  public:
    Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::size_t remaining() const { return bytes_.size() - offset_; }
    std::size_t offset() const { return offset_; }

    /// The next `count` bytes. Throws SerializationError when there are fewer.
    std::span<const std::byte> take(std::size_t count) {
        if (count > remaining()) fail(count);
        const auto taken = bytes_.subspan(offset_, count);
        offset_ += count;
        return taken;
    }
    void read_bytes(void* to, std::size_t count) {
        const auto taken = take(count);
        copy_bytes(to, taken.data(), count);
    }
    std::span<const std::byte> rest() { return take(remaining()); }

    /// A number of elements that are to follow, each of at least `element_bytes` bytes: more than fit are refused here,
    /// before memory is allocated for them.
    std::size_t read_length(std::size_t element_bytes = 1) {
        std::uint64_t length;
        read_bytes(&length, sizeof length);
        if (length > remaining() / element_bytes) fail_length(length);
        return static_cast<std::size_t>(length);
    }

    /// The next value; see archive.hpp.
    template <class T>
    T read();

  private:
    [[noreturn]] void fail(std::size_t count) const {
        throw SerializationError("damaged data: " + std::to_string(count) + " bytes expected at offset " + std::to_string(offset_) +
                                 " of " + std::to_string(bytes_.size()) + ", " + std::to_string(remaining()) + " are left");
    }

    [[noreturn]] void fail_length(std::uint64_t length) const {
        throw SerializationError("damaged data: " + std::to_string(length) + " elements announced at offset " +
                                 std::to_string(offset_ - sizeof length) + ", but only " + std::to_string(remaining()) + " bytes follow");
    }

    std::span<const std::byte> bytes_;
    std::size_t offset_ = 0;
};

}  // namespace rankpool::wire
