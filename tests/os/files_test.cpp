#include "os/files.hpp"

#include <gtest/gtest.h>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "support/temporary_directory.hpp"

namespace {

using rankpool::os::process_stat;
using rankpool::os::read_file;

TEST(ReadFile, GivesAllOfIt) {
    const TemporaryDirectory directory;
    const std::string text = std::string(10'000, 'a') + '\0' + "end\n";
    EXPECT_EQ(read_file(directory.write("large", text)), text);
    EXPECT_EQ(read_file(directory.write("empty", "")), "");
    EXPECT_EQ(read_file(directory.path() / "missing"), "");
    EXPECT_EQ(read_file(directory.path()), "") << "a directory";
}

TEST(ProcessStat, OfThisProcessAndItsChild) {
    const auto own = process_stat(getpid());
    ASSERT_TRUE(own);
    EXPECT_EQ(own->pid, getpid());
    EXPECT_EQ(own->parent, getppid());
    EXPECT_EQ(own->group, getpgrp());
    EXPECT_EQ(own->state, 'R');

    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NAME, "a) R (b) T 7 ");  // a name that looks like what stands behind it
        raise(SIGSTOP);
        _exit(0);
    }
    ASSERT_EQ(waitpid(child, nullptr, WUNTRACED), child);
    const auto stopped = process_stat(child);
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->name, "a) R (b) T 7 ");
    EXPECT_EQ(stopped->parent, getpid());
    EXPECT_EQ(stopped->state, 'T');
    EXPECT_NE(stopped->start_time, "");
    EXPECT_EQ(stopped->start_time.find_first_not_of("0123456789"), std::string::npos);
    EXPECT_GE(std::stoull(stopped->start_time), std::stoull(own->start_time));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_FALSE(process_stat(child));
}

}  // namespace
