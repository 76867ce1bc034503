// What Python's own tests check of multiprocessing.Process, each under its number in the list of behaviours.
//
// Not here, as they mean nothing in C++:
//     62 (close)                      the destructor does it; a Process answers after its end for as long as it lives
//     74 (start methods)              there is one
//     76, 77 (queues)                 there are none
//     78, 79, 80, 82 (tracker)        no memory or semaphore has a name, so there is nothing to track
// Of 70 the exit codes that are words or lists: std::exit takes numbers. Of 71 the subclass: a target may be an object.
// 75 is tested in process/endings_test.cpp, with a program of its own.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "process/channel.hpp"
#include "process/watch.hpp"
#include "support/descendants.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::Process;

void sleep_for_ever() {
    for (;;) pause();
}

std::string identity_text() {
    const auto self = rankpool::current_process();
    return self.name + " " + std::to_string(self.pid);
}

TEST(Semantics, B050_TheMainProcess) {
    const auto self = rankpool::current_process();
    EXPECT_EQ(self.name, "MainProcess");
    EXPECT_EQ(self.pid, getpid());
    EXPECT_FALSE(self.daemon);
    EXPECT_FALSE(rankpool::parent_process());
}

TEST(Semantics, B051_AChildKnowsItsParent) {
    const Channel answers;
    Process process([](const std::string& path) {
        const auto parent = rankpool::parent_process();
        channel::post(path, parent ? parent->name + " " + std::to_string(parent->pid) : "none");
    }, answers.path());
    process.start();
    EXPECT_EQ(answers.take(), identity_text());
}

TEST(Semantics, B052_AGrandchildEndsWithItsTerminatedParent) {
    const Channel pids;
    Process parent([](const std::string& path) {
        Process grandchild([](const std::string& to) {
            channel::post(to, std::to_string(getpid()));
            sleep_for_ever();
        }, path);
        grandchild.start();
        grandchild.join();
    }, pids.path());
    parent.start();
    const watch::Watched grandchild(std::stoi(pids.take()));
    EXPECT_TRUE(grandchild.alive());
    parent.terminate();
    parent.join();
    EXPECT_EQ(parent.exitcode(), -SIGTERM);
    EXPECT_TRUE(grandchild.ends());
}

TEST(Semantics, B053_ArgumentsNameAndPid) {
    const Channel answers;
    Process process([](const std::string& path, int number, const std::vector<std::string>& words, const std::pair<int, double>& pair) {
        channel::post(path, std::to_string(number) + words.at(0) + words.at(1) + std::to_string(pair.first) + (pair.second == 0.5 ? "half" : ""));
        channel::post(path, identity_text());
    }, answers.path(), 7, std::vector<std::string>{"a", "b"}, std::pair(3, 0.5));
    process.name("named").start();
    EXPECT_EQ(answers.take(), "7ab3half");
    EXPECT_EQ(answers.take(), "named " + std::to_string(*process.pid()));
    process.join();
}

TEST(Semantics, B054_ADaemonsChildrenAreDaemonsUnlessTheyAreToldOtherwise) {
    Process by_default([] {});
    EXPECT_FALSE(by_default.daemon());
    EXPECT_TRUE(by_default.daemon(true).daemon());
    EXPECT_FALSE(by_default.daemon(false).daemon());
    for (const bool daemon : {false, true}) {
        Process process([] {
            Process inherits([] {}), told([] {});
            told.daemon(!inherits.daemon());
            std::exit((rankpool::current_process().daemon ? 4 : 0) + (inherits.daemon() ? 2 : 0) + (told.daemon() ? 1 : 0));
        });
        process.daemon(daemon).start();
        process.join();
        EXPECT_EQ(process.exitcode(), daemon ? 6 : 1);
    }
}

TEST(Semantics, B055_FromUnstartedToJoined) {
    const auto listed = [](const Process& process) {
        for (const auto& child : rankpool::active_children())
            if (child.name == process.name()) return true;
        return false;
    };
    const Channel go;
    Process process([](const std::string& path) { channel::take(path); }, go.path());
    EXPECT_FALSE(process.is_alive());
    EXPECT_FALSE(process.exitcode());
    EXPECT_FALSE(listed(process));
    process.start();
    EXPECT_TRUE(process.is_alive());
    EXPECT_FALSE(process.exitcode());
    EXPECT_TRUE(listed(process));
    go.post("go");
    process.join();
    EXPECT_FALSE(process.is_alive());
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_FALSE(listed(process));
}

TEST(Semantics, B056_JoinForNoTimeReturnsAtOnce) {
    Process process(sleep_for_ever);
    process.start();
    EXPECT_FALSE(process.join(0s));
    EXPECT_FALSE(process.join(-1s));
    EXPECT_FALSE(process.join(1ms));
    EXPECT_TRUE(process.is_alive());
    process.kill();
}

TEST(Semantics, B057_TerminateAndKill) {
    Process terminated(sleep_for_ever), killed(sleep_for_ever);
    terminated.start();
    terminated.terminate();
    EXPECT_TRUE(terminated.join());
    EXPECT_EQ(terminated.exitcode(), -SIGTERM);
    killed.start();
    killed.kill();
    EXPECT_TRUE(killed.join());
    EXPECT_EQ(killed.exitcode(), -SIGKILL);
    EXPECT_FALSE(killed.is_alive());
}

TEST(Semantics, B058_CpuCount) { EXPECT_GE(rankpool::cpu_count(), 1); }

void tell_tree(const std::string& path, const std::string& place) {
    channel::post(path, place);
    if (place.size() == 2) return;
    for (int i = 0; i < 2; ++i) {
        Process child(tell_tree, path, place + std::to_string(i));
        child.start();
        child.join();
    }
}

TEST(Semantics, B059_ChildrenStartChildren) {
    const Channel places;
    tell_tree(places.path(), "");
    for (const std::string place : {"", "0", "00", "01", "1", "10", "11"}) EXPECT_EQ(places.take(), place);
}

TEST(Semantics, B060_TheSentinelIsReadyAtTheEnd) {
    const Channel go;
    Process process([](const std::string& path) { channel::take(path); }, go.path());
    EXPECT_THROW((void)process.sentinel(), std::logic_error);
    process.start();
    EXPECT_FALSE(watch::readable(process.sentinel(), 0));
    go.post("go");
    EXPECT_TRUE(watch::readable(process.sentinel(), 60'000));
    EXPECT_EQ(process.exitcode(), 0);
}

TEST(Semantics, B061_ASentinelAmongPipes) {
    const Channel first, second, go;
    Process process([](const std::string& path) { channel::take(path); }, go.path());
    process.start();
    pollfd all[] = {{first.fd(), POLLIN, 0}, {second.fd(), POLLIN, 0}, {process.sentinel(), POLLIN, 0}};
    EXPECT_EQ(poll(all, 3, 0), 0);
    go.post("go");
    EXPECT_EQ(poll(all, 3, 60'000), 1);
    EXPECT_EQ(all[2].revents, POLLIN);
    first.post("data");
    EXPECT_EQ(poll(all, 3, 60'000), 2);
    second.post("data");
    EXPECT_EQ(poll(all, 3, 60'000), 3);
}

TEST(Semantics, B063_AHundredChildren) {
    std::vector<Process> all;
    for (int i = 0; i < 100; ++i) all.emplace_back([] {});
    for (auto& process : all) process.start();
    for (auto& process : all) {
        process.join();
        EXPECT_EQ(process.exitcode(), 0);
    }
    all.clear();
    for (int i = 0; i < 100; ++i) all.emplace_back(sleep_for_ever);
    for (auto& process : all) process.start();
    for (auto& process : all) process.terminate();
    for (auto& process : all) {
        process.join();
        EXPECT_EQ(process.exitcode(), -SIGTERM) << process.name();
    }
}

int copies_alive = 0;

struct Counted {
    Counted() { ++copies_alive; }
    Counted(const Counted&) { ++copies_alive; }
    ~Counted() { --copies_alive; }
    template <class Archive>
    void serialize(Archive&, unsigned) {}
};

TEST(Semantics, B064_NoReferenceToTargetOrArgumentsIsKept) {
    Process process([](const Counted&) { std::exit(copies_alive); }, Counted());
    EXPECT_EQ(copies_alive, 0);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 1);
}

TEST(Semantics, B065_ChildrenDoNotInheritEachOthersDescriptors) {
    const Channel go;
    std::vector<Process> all;
    for (int i = 0; i < 5; ++i)
        all.emplace_back([](const std::string& path) {
            const int count = watch::open_descriptors();
            channel::take(path);
            std::exit(count);
        }, go.path());
    for (auto& process : all) process.start();
    for (std::size_t i = 0; i < all.size(); ++i) go.post("go");
    std::set<int> counts;
    for (auto& process : all) {
        process.join();
        counts.insert(process.exitcode().value());
    }
    EXPECT_EQ(counts.size(), 1u);
}

TEST(Semantics, B066_NoDescriptorOfTheParentIsInherited) {
    Process first([] {});  // the fork server is there now, in every kind of program
    first.start();
    first.join();
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const int high = dup2(socket, 200);
    close(socket);
    ASSERT_EQ(high, 200);
    Process process([] { std::exit(fcntl(200, F_GETFD) == -1 ? 0 : 1); });
    process.start();
    process.join();
    close(high);
    EXPECT_EQ(process.exitcode(), 0);
}

TEST(Semantics, B067_ADetachedThreadIsNotWaitedFor) {
    const Channel answers;
    Process process([](const std::string& path) {
        std::thread(sleep_for_ever).detach();
        std::jthread finishing([&path] { channel::post(path, "finished"); });
    }, answers.path());
    process.start();
    EXPECT_TRUE(process.join());
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(answers.take(), "finished");
}

TEST(Semantics, B068_WithoutStandardStreams) {
    Process closes_its_own([] {
        for (const int stream : {0, 1, 2}) close(stream);
    });
    closes_its_own.start();
    closes_its_own.join();
    EXPECT_EQ(closes_its_own.exitcode(), 0);
    Process has_none([] {
        for (const int stream : {0, 1, 2}) close(stream);
        Process child([] { std::printf("into nothing\n"); });
        child.start();
        child.join();
        std::exit(child.exitcode() == 0 ? 10 : 11);
    });
    has_none.start();
    has_none.join();
    EXPECT_EQ(has_none.exitcode(), 10);
}

TEST(Semantics, B069_AnErrorIsOnStandardErrorBeforeTheEnd) {
    const watch::Captured errors(STDERR_FILENO);
    Process process([] { throw std::runtime_error("one divided by zero"); });
    process.start();
    EXPECT_TRUE(watch::readable(process.sentinel(), 60'000));
    EXPECT_NE(errors.text().find("std::runtime_error: one divided by zero"), std::string::npos) << errors.text();
    EXPECT_EQ(process.exitcode(), 1);
}

TEST(Semantics, B070_ExitRequests) {
    for (const int code : {8, 1, 0, 255}) {
        Process process([](int number) { std::exit(number); }, code);
        process.start();
        process.join();
        EXPECT_EQ(process.exitcode(), code);
    }
}

struct Upper {
    std::string requests, answers;
    void operator()() const {
        for (std::string word = channel::take(requests); word != "stop"; word = channel::take(requests)) {
            for (char& letter : word) letter = static_cast<char>(std::toupper(letter));
            channel::post(answers, word);
        }
    }
};

TEST(Semantics, B071_AnObjectThatAnswersUntilItIsStopped) {
    const Channel requests, answers;
    Process process(Upper{requests.path(), answers.path()});
    process.start();
    for (const std::string word : {"one", "two"}) requests.post(word);
    EXPECT_EQ(answers.take(), "ONE");
    EXPECT_EQ(answers.take(), "TWO");
    EXPECT_TRUE(process.is_alive());
    requests.post("stop");
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
}

std::string told_at_exit;

TEST(Semantics, B072_AnExitHandlerOfTheChildRuns) {
    const Channel answers;
    Process process([](const std::string& path) {
        told_at_exit = path;
        std::atexit([] { channel::post(told_at_exit, "at exit"); });
    }, answers.path());
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_EQ(answers.take(), "at exit");
}

TEST(Semantics, B073_TheForkServerIsReplacedWhenItIsKilled) {
    const Channel pids;
    Process running([](const std::string& path) {
        channel::post(path, std::to_string(getppid()));
        sleep_for_ever();
    }, pids.path());
    running.start();
    const pid_t server = std::stoi(pids.take());
    kill(server, SIGINT);  // it is not impressed
    Process before([] { std::exit(getppid() == 1 ? 1 : 5); });
    before.start();
    before.join();
    EXPECT_EQ(before.exitcode(), 5);
    EXPECT_TRUE(running.is_alive());
    kill(server, SIGKILL);
    Process after([] { std::exit(6); });
    after.start();  // whether or not its death has been noticed
    after.join();
    EXPECT_EQ(after.exitcode(), 6);
    running.join();
    EXPECT_EQ(running.exitcode(), -SIGKILL) << "it ended with the server";
}

TEST(Semantics, B081_ASignalWhileItIsJoined) {
    static volatile std::sig_atomic_t signals = 0;
    struct sigaction action {}, before {};
    action.sa_handler = [](int) { signals = signals + 1; };
    sigaction(SIGUSR1, &action, &before);
    Process process([](pid_t parent) {
        for (int i = 0; i < 20; ++i) {
            while (descendants::status_of(parent).state != 'S') sched_yield();  // it waits
            kill(parent, SIGUSR1);
        }
        std::exit(9);
    }, getpid());
    process.start();
    EXPECT_TRUE(process.join());
    EXPECT_EQ(process.exitcode(), 9);
    EXPECT_GT(signals, 0);
    sigaction(SIGUSR1, &before, nullptr);
}

TEST(Semantics, B083_NothingOfATreeSurvivesItsRoot) {
    const Channel pids;
    Process root([](const std::string& path) {
        std::vector<Process> children;
        for (int i = 0; i < 2; ++i) {
            children.emplace_back([](const std::string& to) {
                channel::post(to, std::to_string(getpid()));
                sleep_for_ever();
            }, path);
            children.back().daemon(i == 1).start();
        }
        sleep_for_ever();
    }, pids.path());
    root.start();
    const watch::Watched first(std::stoi(pids.take())), second(std::stoi(pids.take()));
    EXPECT_TRUE(first.alive() && second.alive());
    root.kill();
    root.join();
    EXPECT_TRUE(first.ends());
    EXPECT_TRUE(second.ends());
}

}  // namespace
