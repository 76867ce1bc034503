// What tasks did, as they told it themselves: a file that every process appends to, whole records only.
//
//     const ItemLog log;
//     pool.map([path = log.path()](int x) { note(path, x, Moment::started); ...; note(path, x, Moment::ended); }, items);
//     EXPECT_EQ(log.read()[7].started, 1);
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/temporary_directory.hpp"

namespace item_log {

/// A path that a lambda may capture: it travels as its bytes.
struct Path {
    char text[112] = {};

    Path() = default;
    explicit Path(const std::string& path) {
        if (path.size() >= sizeof text) throw std::length_error("a temporary path is too long: " + path);
        std::memcpy(text, path.data(), path.size());
    }
};

enum class Moment : std::uint32_t { started = 1, ended = 2 };

struct Record {
    std::uint64_t item;
    Moment moment;
    std::int32_t pid;
};

/// Appends a record. A task that cannot tell ends its process: a test must not take silence for "not started".
inline void note(const Path& path, std::uint64_t item, Moment moment) {
    const int fd = open(path.text, O_WRONLY | O_APPEND | O_CLOEXEC);
    const Record record{item, moment, static_cast<std::int32_t>(getpid())};
    if (fd < 0 || write(fd, &record, sizeof record) != sizeof record) std::abort();
    close(fd);
}

/// True for the first process that asks for this name in the log's directory.
inline bool first_to_ask(const Path& path) {
    const int fd = open(path.text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

class ItemLog {
  public:
    ItemLog() : file_(directory_.write("log", "")) {}

    Path path() const { return Path(file_); }
    /// A name for first_to_ask, or for a file that tasks wait for.
    Path name(const std::string& name) const { return Path((directory_.path() / name).string()); }

    std::vector<Record> records() const {
        std::vector<Record> all;
        std::ifstream in(file_, std::ios::binary);
        for (Record record; in.read(reinterpret_cast<char*>(&record), sizeof record);) all.push_back(record);
        return all;
    }

    struct Times {
        int started = 0, ended = 0;
    };
    /// How often each item was started and ended.
    std::map<std::uint64_t, Times> read() const {
        std::map<std::uint64_t, Times> times;
        for (const Record& record : records()) ++(record.moment == Moment::started ? times[record.item].started : times[record.item].ended);
        return times;
    }

  private:
    TemporaryDirectory directory_;
    std::string file_;
};

}  // namespace item_log
