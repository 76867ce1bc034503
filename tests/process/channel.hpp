// Lines of text between the processes of a test: a named pipe, which each of them opens by its path.
//
//     const Channel answers;
//     rankpool::Process child([](const std::string& path) { channel::post(path, "done"); }, answers.path());
//     child.start();
//     EXPECT_EQ(answers.take(), "done");
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "support/temporary_directory.hpp"

namespace channel {

/// The pipe, opened so that nobody waits for anybody to open it and nothing ends when somebody closes it.
class End {
  public:
    explicit End(const std::string& path) : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
        if (fd_ < 0) throw std::runtime_error("open failed: " + path);
    }
    ~End() { close(fd_); }
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    int fd() const { return fd_; }

  private:
    int fd_;
};

/// Puts a line into the pipe; short ones stay whole.
inline void post(const std::string& path, const std::string& line) {
    const std::string text = line + "\n";
    const End end(path);
    if (write(end.fd(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) throw std::runtime_error("write failed: " + path);
}

/// The next line; throws when none comes in a long time.
inline std::string take(const std::string& path) {
    const End end(path);
    std::string line;
    for (char letter = 0;;) {
        pollfd event{end.fd(), POLLIN, 0};
        if (poll(&event, 1, 60'000) != 1 || read(end.fd(), &letter, 1) != 1) throw std::runtime_error("nothing came through " + path);
        if (letter == '\n') return line;
        line += letter;
    }
}

}  // namespace channel

class Channel {
  public:
    Channel() : path_((directory_.path() / "channel").string()), end_((make(path_), path_)) {}

    const std::string& path() const { return path_; }
    int fd() const { return end_.fd(); }
    void post(const std::string& line) const { channel::post(path_, line); }
    std::string take() const { return channel::take(path_); }

  private:
    static void make(const std::string& path) {
        if (mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo failed: " + path);
    }

    const TemporaryDirectory directory_;
    const std::string path_;
    const channel::End end_;  // what was posted stays in the pipe while this is open
};
