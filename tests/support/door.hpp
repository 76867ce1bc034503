// Doors: named pipes that tasks wait at, wherever they run, until somebody opens them. Nobody has to look again and again.
//
//     auto result = pool.map_async([path](int x) { door::pass(path); return x; }, items);
//     …                       // the tasks run, and will not end
//     door::open_for_all(path);
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace door {

/// The descriptor with which a door is opened; whoever comes first makes it.
inline int hold(const std::string& path, int how) {
    if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST) throw std::runtime_error("mkfifo " + path);
    int fd;
    do fd = open(path.c_str(), how | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) throw std::runtime_error("open " + path);
    return fd;
}

/// Waits until the door is open.
inline void pass(const std::string& path) { close(hold(path, O_RDONLY)); }

/// Opens it, also for those who come later: until this process ends.
inline void open_for_all(const std::string& path) { (void)hold(path, O_RDWR); }

}  // namespace door
