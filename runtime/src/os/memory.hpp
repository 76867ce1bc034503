// Memory without a name: memfd and its mappings. Nothing here can be left behind by a process that is killed.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "os/unique_fd.hpp"

namespace rankpool::os {

std::size_t page_size();
/// `bytes` rounded up to whole pages.
std::size_t whole_pages(std::size_t bytes);

/// A mapping with one owner.
class Mapping {
  public:
    enum class Access { read_only, read_write };

    Mapping() = default;
    /// Maps `bytes` of `fd` from `offset` (page aligned), shared. Throws Error.
    Mapping(int fd, std::size_t offset, std::size_t bytes, Access access);
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    /// Maps the same `bytes` of `fd` (whole pages) twice, one behind the other: a ring whose every stretch of up to
    /// `bytes` is contiguous. Throws Error.
    static Mapping mirrored(int fd, std::size_t offset, std::size_t bytes, Access access);

    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    explicit operator bool() const noexcept { return data_ != nullptr; }

  private:
    Mapping(std::byte* data, std::size_t size) noexcept : data_(data), size_(size) {}
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A memfd of `bytes`, zeroed, close-on-exec, which can grow but never shrink: a process that shares it cannot take
/// pages away from under another's mapping. Throws Error.
UniqueFd create_memory(const char* label, std::size_t bytes);

/// Sets space aside for [offset, offset+bytes) of a memfd, growing it, so that a full machine is an Error here and not
/// a SIGBUS later. The limits of every cgroup ancestor are looked at first, because the kernel answers a reservation
/// beyond them with SIGKILL.
void reserve_memory(int fd, std::size_t offset, std::size_t bytes);

/// A second descriptor of the same memory through which it can only be read.
UniqueFd read_only_descriptor(int memory_fd);

}  // namespace rankpool::os
