#include "os/own_pid.hpp"

#include <gtest/gtest.h>

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace {

using rankpool::os::own_pid;

// Whether a copy of this process knows its own pid, also when it has forked in its turn.
bool copies_know_theirs(pid_t (*copy)(), int generations) {
    if (own_pid() != getpid()) return false;
    if (generations == 0) return true;
    const pid_t child = copy();
    if (child == 0) _exit(copies_know_theirs(copy, generations - 1) ? 0 : 1);
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0;
}

TEST(OwnPid, IsTheProcesssOwnInEveryCopy) {
    EXPECT_TRUE(copies_know_theirs([] { return fork(); }, 3));
    EXPECT_EQ(own_pid(), getpid());
}

// The C library does not see such a fork.
TEST(OwnPid, IsTheProcesssOwnInACopyMadeByTheSystemCall) {
    EXPECT_TRUE(copies_know_theirs([] { return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }, 2));
}

}  // namespace
