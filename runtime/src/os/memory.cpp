#include "os/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "os/cgroup.hpp"
#include "os/failure.hpp"
#include <rankpool/error.hpp>

namespace rankpool::os {

std::size_t page_size() {
    static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return size;
}

std::size_t whole_pages(std::size_t bytes) { return (bytes + page_size() - 1) / page_size() * page_size(); }

namespace {

int protection(Mapping::Access access) {
    return access == Mapping::Access::read_write ? PROT_READ | PROT_WRITE : PROT_READ;
}

}  // namespace

Mapping::Mapping(int fd, std::size_t offset, std::size_t bytes, Access access) {
    void* address = mmap(nullptr, bytes, protection(access), MAP_SHARED, fd, static_cast<off_t>(offset));
    if (address == MAP_FAILED) fail("mmap", std::to_string(bytes) + " bytes of shared memory");
    data_ = static_cast<std::byte*>(address);
    size_ = bytes;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

Mapping::~Mapping() {
    if (data_ != nullptr) munmap(data_, size_);
}

Mapping Mapping::mirrored(int fd, std::size_t offset, std::size_t bytes, Access access) {
    void* address = mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) fail("mmap", std::to_string(2 * bytes) + " bytes of address space");
    Mapping ring(static_cast<std::byte*>(address), 2 * bytes);
    for (std::byte* half : {ring.data_, ring.data_ + bytes}) {
        if (mmap(half, bytes, protection(access), MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset)) == MAP_FAILED)
            fail("mmap", std::to_string(bytes) + " bytes of shared memory");
    }
    return ring;
}

UniqueFd create_memory(const char* label, std::size_t bytes) {
    UniqueFd fd(memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) fail("memfd_create", label);
    check(ftruncate(fd.get(), static_cast<off_t>(bytes)), "ftruncate", label);
    check(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK), "fcntl(F_ADD_SEALS)", label);
    return fd;
}

void reserve_memory(int fd, std::size_t offset, std::size_t bytes) {
    if (bytes == 0) return;
    if (const auto room = memory_room(); room && bytes > *room)
        throw Error("shared memory: " + std::to_string(bytes) + " bytes are needed, " + std::to_string(*room) +
                    " are left under this process's memory cgroup limit; send less at a time or raise the limit");
    if (retry_interrupted([&] { return fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes)); }) != 0)
        fail("fallocate", std::to_string(bytes) + " bytes of shared memory");
}

UniqueFd read_only_descriptor(int memory_fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(memory_fd);
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) fail("open", path);
    return fd;
}

}  // namespace rankpool::os
