// What the executor's tests share: the backends, doors that tasks wait at, and counts of what was run.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "pool/backends.hpp"
#include "support/door.hpp"
#include "support/temporary_directory.hpp"

namespace executor_test {

using pool_test::all_backends;
using pool_test::name_of;
using pool_test::process_backends;
using pool_test::ranks;
using rankpool::ExecutorOptions;
using rankpool::Future;
using rankpool::ProcessPoolExecutor;

/// A test on one backend.
class OnExecutor : public testing::TestWithParam<rankpool::Backend> {
  protected:
    ExecutorOptions options(int workers = 2) const {
        ExecutorOptions chosen;
        chosen.max_workers = workers;
        chosen.backend = GetParam();
        return chosen;
    }
    bool isolated() const { return GetParam() != rankpool::Backend::threads && GetParam() != rankpool::Backend::serial; }
    /// Whether tasks run beside the thread that submits them.
    bool concurrent() const { return GetParam() != rankpool::Backend::serial; }
    std::string path(const std::string& name) const { return (directory_.path() / name).string(); }

  private:
    TemporaryDirectory directory_;
};

#define EXECUTORS_ON_ALL_BACKENDS(suite) INSTANTIATE_TEST_SUITE_P(Executors, suite, testing::ValuesIn(executor_test::all_backends()), executor_test::name_of)
#define EXECUTORS_ON_PROCESSES(suite) INSTANTIATE_TEST_SUITE_P(Executors, suite, testing::ValuesIn(executor_test::process_backends()), executor_test::name_of)

/// Waits for what nobody tells.
inline void until(const std::function<bool()>& condition) {
    while (!condition()) sched_yield();
}

// ---- doors and marks: files, which tasks see wherever they run ----

/// The task that waits for a door and then returns its value.
inline int pass(const std::string& door, int value) {
    door::pass(door);
    return value;
}
inline void open_door(const std::string& door) { door::open_for_all(door); }
/// The task that leaves a mark.
inline int mark(const std::string& file, int value) {
    const int fd = open(file.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    const ssize_t written = write(fd, "x", 1);
    close(fd);
    return written == 1 ? value : -1;
}
inline int pass_and_mark(const std::string& door, const std::string& file, int value) { return mark(file, pass(door, value)); }
inline int marks(const std::string& file) {
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    return static_cast<int>(size);
}

/// Counts that processes share: 64-bit words in a file.
class SharedCounts {
  public:
    SharedCounts(const std::string& file, std::size_t count) : bytes_(count * sizeof(std::atomic<std::uint64_t>)) {
        const int fd = open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        const bool sized = fd >= 0 && ftruncate(fd, static_cast<off_t>(bytes_)) == 0;
        void* memory = sized ? mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
        close(fd);
        if (memory == MAP_FAILED) throw std::runtime_error("no shared counts in " + file);
        words_ = static_cast<std::atomic<std::uint64_t>*>(memory);
    }
    ~SharedCounts() { munmap(words_, bytes_); }
    SharedCounts(const SharedCounts&) = delete;
    SharedCounts& operator=(const SharedCounts&) = delete;
    std::atomic<std::uint64_t>& operator[](std::size_t index) { return words_[index]; }

  private:
    std::size_t bytes_;
    std::atomic<std::uint64_t>* words_;
};

/// Ends this process by a signal, without a core file and without a sanitizer's report.
[[noreturn]] inline void die_by(int signal) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    std::signal(signal, SIG_DFL);
    raise(signal);
    for (;;) pause();
}

inline bool process_is_gone(pid_t pid) { return kill(pid, 0) == -1 && errno == ESRCH; }

inline std::vector<int> numbers(int count) {
    std::vector<int> all;
    for (int i = 0; i < count; ++i) all.push_back(i);
    return all;
}

template <class R>
std::vector<R> all_of(rankpool::ResultRange<R> results) {
    std::vector<R> all;
    while (auto next = results.next()) all.push_back(std::move(*next));
    return all;
}

}  // namespace executor_test
