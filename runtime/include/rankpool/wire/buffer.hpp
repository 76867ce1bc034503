// Bytes that grow without being cleared first.
//
//     rankpool::wire::Buffer buffer;
//     rankpool::wire::encode(buffer, value);
//     send(std::span<const std::byte>(buffer));
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <span>
#include <utility>

#include <rankpool/wire/copy.hpp>

namespace rankpool::wire {

/// Memory that is about to be written gets its pages in one go, large ones where the kernel has them: a hint, for a
/// vector of many megabytes half of the time of a call.
void prepare_pages(void* memory, std::size_t bytes) noexcept;
/// Large pages only, where the kernel has them: for memory of which a part may stay unwritten.
void prefer_large_pages(void* memory, std::size_t bytes) noexcept;

/// A growable block of bytes; move-only. New bytes are uninitialised: whoever grows it fills them. Throws
/// std::bad_alloc.
class Buffer {
  public:
    Buffer() = default;
    /// Begins in somebody else's memory, and moves to its own when that is full.
    static Buffer on(std::span<std::byte> memory) {
        Buffer buffer;
        buffer.data_ = memory.data();
        buffer.capacity_ = memory.size();
        buffer.lent_ = true;
        return buffer;
    }
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)),
          lent_(std::exchange(other.lent_, false)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        std::swap(lent_, other.lent_);
        return *this;
    }
    ~Buffer() {
        if (!lent_) std::free(data_);
    }

    /// Whether its bytes still lie in the memory that it began in.
    bool is_lent() const { return lent_; }

    std::byte* data() { return data_; }
    const std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    void clear() { size_ = 0; }
    /// Drops everything behind the first `size` bytes.
    void shrink(std::size_t size) { size_ = size < size_ ? size : size_; }

    void reserve(std::size_t bytes) {
        if (bytes <= capacity_) return;
        void* larger = lent_ ? std::malloc(bytes) : std::realloc(data_, bytes);
        if (larger == nullptr) throw std::bad_alloc();
        if (std::exchange(lent_, false) && size_ > 0) copy_bytes(larger, data_, size_);
        data_ = static_cast<std::byte*>(larger);
        capacity_ = bytes;
    }

    /// Appends `bytes` bytes, uninitialised; returns where they begin.
    std::byte* grow(std::size_t bytes) {
        if (bytes > capacity_ - size_) {
            if (bytes > static_cast<std::size_t>(-1) / 4 - size_) throw std::bad_alloc();
            const std::size_t doubled = capacity_ * 2;
            reserve(doubled > size_ + bytes ? doubled : size_ + bytes);
        }
        std::byte* place = data_ + size_;
        size_ += bytes;
        return place;
    }

    void append(const void* bytes, std::size_t count) {
        if (count > 0) copy_bytes(grow(count), bytes, count);
    }

    operator std::span<const std::byte>() const { return {data_, size_}; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    bool lent_ = false;
};

}  // namespace rankpool::wire
