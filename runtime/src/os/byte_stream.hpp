// Plain values in a row of bytes, for our own messages between processes of one build. What is read is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace rankpool::os {

class ByteWriter {
  public:
    template <class T>
    void put(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        put_bytes({reinterpret_cast<const std::byte*>(&value), sizeof value});
    }
    void put(const std::string& text) {
        put<std::uint64_t>(text.size());
        put_bytes({reinterpret_cast<const std::byte*>(text.data()), text.size()});
    }
    void put_block(std::span<const std::byte> block) {
        put<std::uint64_t>(block.size());
        put_bytes(block);
    }
    void put_bytes(std::span<const std::byte> bytes) {
        const std::size_t end = bytes_.size();
        bytes_.resize(end + bytes.size());
        if (!bytes.empty()) std::memcpy(bytes_.data() + end, bytes.data(), bytes.size());
    }
    /// Zeros up to a multiple of `alignment`.
    void pad(std::size_t alignment) { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment); }

    std::vector<std::byte>& bytes() { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

/// Throws rankpool::Error when the bytes end before the value does.
class ByteReader {
  public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <class T>
    T get() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }
    std::string get_string() {
        const auto block = get_block();
        return {reinterpret_cast<const char*>(block.data()), block.size()};
    }
    std::span<const std::byte> get_block() { return take(get<std::uint64_t>()); }
    std::span<const std::byte> take(std::uint64_t count);
    std::span<const std::byte> rest() { return take(bytes_.size()); }
    bool empty() const { return bytes_.empty(); }

  private:
    std::span<const std::byte> bytes_;
};

}  // namespace rankpool::os
