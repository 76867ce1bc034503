// What the tests of Process look at from outside: processes by their number, descriptors, and what is printed.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include "support/temporary_directory.hpp"

namespace watch {

/// Waits until the descriptor is readable.
inline bool readable(int fd, int limit_in_ms) {
    pollfd event{fd, POLLIN, 0};
    return poll(&event, 1, limit_in_ms) == 1 && (event.revents & POLLIN) != 0;
}

/// A process that may be anybody's child, watched from now on: its number may be given to another one later.
class Watched {
  public:
    explicit Watched(pid_t pid) : fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {
        if (fd_ < 0 && errno != ESRCH) throw std::system_error(errno, std::generic_category(), "pidfd_open");
    }
    ~Watched() {
        if (fd_ >= 0) close(fd_);
    }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    bool alive() const { return fd_ >= 0 && !readable(fd_, 0); }
    /// Waits for its end, a minute at most.
    bool ends() const { return fd_ < 0 || readable(fd_, 60'000); }

  private:
    int fd_;
};

/// While it lives, what goes to descriptor `stream` goes into a file.
class Captured {
  public:
    explicit Captured(int stream) : stream_(stream), before_(dup(stream)) {
        const int file = open(path().c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        dup2(file, stream_);
        close(file);
    }
    ~Captured() {
        dup2(before_, stream_);
        close(before_);
    }
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;

    std::string text() const {
        std::ostringstream all;
        all << std::ifstream(path()).rdbuf();
        return all.str();
    }

  private:
    std::string path() const { return (directory_.path() / "captured").string(); }

    const TemporaryDirectory directory_;
    const int stream_, before_;
};

inline int open_descriptors() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

inline int occurrences(const std::string& text, const std::string& word) {
    int count = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + word.size())) ++count;
    return count;
}

}  // namespace watch
