// Process: what it takes, what it tells, what its process sees, and who may use it. How whole programs end is tested in
// endings_test.cpp, what Python's own tests check in semantics/process_test.cpp.
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "process/channel.hpp"
#include "process/watch.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::Process;

void sleep_for_ever() {
    for (;;) pause();
}

int ends_with(Process& process) {
    process.start();
    process.join();
    return process.exitcode().value();
}

// ---- what it takes ----

void exit_with_sum(int a, int b) { std::exit(a + b); }

struct Adder {
    int base = 0;
    void operator()(const std::vector<int>& numbers) const { std::exit(std::accumulate(numbers.begin(), numbers.end(), base)); }
};

struct Named {  // not trivially copyable, and sent member by member
    std::string name;
    std::map<std::string, int> codes;
    void operator()() const { std::exit(codes.at(name)); }
};

TEST(Process, TakesAnyTaskFunction) {
    int base = 30;  // no constant, which would not be captured
    Process pointer(exit_with_sum, 3, 4), lambda([base](int x) { std::exit(base + x); }, 5), object(Adder{20}, std::vector{1, 2, 3}),
        aggregate(Named{"nine", {{"eight", 8}, {"nine", 9}}});
    EXPECT_EQ(ends_with(pointer), 7);
    EXPECT_EQ(ends_with(lambda), 35);
    EXPECT_EQ(ends_with(object), 26);
    EXPECT_EQ(ends_with(aggregate), 9);
}

TEST(Process, TakesATaskFunctionAsTargetAndAsArgument) {
    const rankpool::TaskFunction<void(int, int)> exits = exit_with_sum;
    Process target(exits, 3, 4), bound(rankpool::bind_shared(exits, 5), 6), argument([](const rankpool::TaskFunction<void()>& f) { f(); }, rankpool::TaskFunction<void()>(Named{"nine", {{"nine", 9}}}));
    EXPECT_EQ(ends_with(target), 7);
    EXPECT_EQ(ends_with(bound), 11);
    EXPECT_EQ(ends_with(argument), 9);
    EXPECT_THROW(Process(rankpool::TaskFunction<void()>()), std::invalid_argument);
}

TEST(Process, GivesArgumentsByValueReferenceAndRvalue) {
    Process process([](std::string a, const std::string& b, std::unique_ptr<int> c, std::vector<double>&& d) {
        std::exit(a == "a" && b == "b" && *c == 3 && d == std::vector{1.5, 2.5} ? 11 : 12);
    }, std::string("a"), std::string("b"), std::make_unique<int>(3), std::vector{1.5, 2.5});
    EXPECT_EQ(ends_with(process), 11);
}

TEST(Process, TakesLargeArguments) {
    std::vector<int> numbers(5'000'000);
    std::iota(numbers.begin(), numbers.end(), 0);
    Process process([](const std::vector<int>& all) { std::exit(all.size() == 5'000'000 && all[4'999'999] == 4'999'999 ? 1 : 2); }, std::move(numbers));
    EXPECT_EQ(ends_with(process), 1);
}

TEST(Process, RefusesACapturedAddressBeforeAnythingRuns) {
    int here = 0;
    EXPECT_THROW(Process([&here] { here = 1; }), std::invalid_argument);
    int* const address = &here;
    EXPECT_THROW(Process([address](int x) { *address = x; }, 1), std::invalid_argument);
    EXPECT_THROW(Process(static_cast<void (*)()>(nullptr)), std::invalid_argument);
    Process process(rankpool::trusted([address] { std::exit(address != nullptr ? 4 : 5); }));
    EXPECT_EQ(ends_with(process), 4);
}

struct Unreadable {
    std::string value;
    template <class Archive>
    void save(Archive& archive, unsigned) const {
        archive << value;
    }
    template <class Archive>
    void load(Archive&, unsigned) {
        throw std::runtime_error("cannot be read");
    }
    template <class Archive>
    void serialize(Archive& archive, unsigned version) {
        if constexpr (Archive::is_saving::value)
            save(archive, version);
        else
            load(archive, version);
    }
};

TEST(Process, EndsWithOneWhenItsArgumentsCannotBeRead) {
    const watch::Captured errors(STDERR_FILENO);
    Process process([](const Unreadable&) {}, Unreadable{});
    EXPECT_EQ(ends_with(process), 1);
    EXPECT_NE(errors.text().find("cannot be read"), std::string::npos) << errors.text();
}

// ---- the order of calls ----

TEST(Process, IsStartedOnce) {
    Process process([] {});
    process.start();
    EXPECT_THROW(process.start(), std::logic_error);
    process.join();
    EXPECT_THROW(process.start(), std::logic_error);
    EXPECT_EQ(process.exitcode(), 0);
}

TEST(Process, HasItsNameAndKindBeforeItsStart) {
    Process process([] {});
    EXPECT_EQ(&process.name("reader").daemon(true), &process);
    EXPECT_EQ(process.name(), "reader");
    EXPECT_TRUE(process.daemon());
    process.start();
    EXPECT_THROW(process.name("writer"), std::logic_error);
    EXPECT_THROW(process.daemon(false), std::logic_error);
    process.join();
    EXPECT_THROW(process.name("writer"), std::logic_error);
    EXPECT_EQ(process.name(), "reader");
}

TEST(Process, CannotBeJoinedBeforeItsStart) {
    Process process([] {});
    EXPECT_THROW(process.join(), std::logic_error);
    EXPECT_THROW(process.join(1s), std::logic_error);
    EXPECT_THROW((void)process.sentinel(), std::logic_error);
    EXPECT_FALSE(process.pid());
}

TEST(Process, IsNotMovedByTerminateAndKillBeforeItsStartAndAfterItsEnd) {
    Process process([] {});
    process.terminate();
    process.kill();
    EXPECT_EQ(ends_with(process), 0);
    process.terminate();
    process.kill();
    EXPECT_EQ(process.exitcode(), 0);
    EXPECT_TRUE(process.join());
    EXPECT_TRUE(process.join(0s));
}

TEST(Process, CanBeJoinedForEver) {
    Process process([] {});
    process.start();
    EXPECT_TRUE(process.join(std::chrono::nanoseconds::max()));
    EXPECT_FALSE(process.is_alive());
}

// ---- names ----

TEST(Process, IsNumberedWhenItIsMade) {
    const auto number = [](const Process& process) { return std::stoi(process.name().substr(std::string("Process-").size())); };
    const Process first([] {}), second([] {});
    EXPECT_EQ(second.name(), "Process-" + std::to_string(number(first) + 1));
}

TEST(Process, NumbersTheProcessesOfAProcessBehindItsOwn) {
    const Channel names;
    Process process([](const std::string& path) {
        const Process first([] {}), second([] {});
        channel::post(path, first.name() + " " + second.name());
    }, names.path());
    const std::string own = process.name();
    process.name("another").start();
    EXPECT_EQ(names.take(), own + ":1 " + own + ":2");
}

// ---- moving, destroying ----

TEST(Process, CanBeMoved) {
    static_assert(!std::is_copy_constructible_v<Process> && !std::is_copy_assignable_v<Process>);
    static_assert(std::is_nothrow_move_constructible_v<Process> && std::is_nothrow_move_assignable_v<Process>);
    Process first(sleep_for_ever);
    first.name("sleeper").start();
    const auto pid = first.pid();
    Process second = std::move(first);
    EXPECT_EQ(second.pid(), pid);
    EXPECT_EQ(second.name(), "sleeper");
    EXPECT_THROW((void)first.is_alive(), std::logic_error);
    EXPECT_THROW(first.start(), std::logic_error);
    std::vector<Process> all;
    all.push_back(std::move(second));
    EXPECT_TRUE(all.front().is_alive());
    all.front().kill();
    EXPECT_TRUE(all.front().join());
}

TEST(Process, EndsWhatItHeldWhenAnotherIsMovedIn) {
    Process process(sleep_for_ever);
    process.daemon(true).start();
    const watch::Watched before(*process.pid());
    process = Process([] { std::exit(3); });
    EXPECT_FALSE(before.alive());
    EXPECT_EQ(ends_with(process), 3);
}

TEST(Process, IsJoinedWhenDestroyed) {
    const Channel go;
    std::unique_ptr<watch::Watched> watched;
    std::thread opener;
    {
        Process process([](const std::string& path) { channel::take(path); }, go.path());
        process.start();
        watched = std::make_unique<watch::Watched>(*process.pid());
        EXPECT_TRUE(watched->alive());
        opener = std::thread([&] { go.post("go"); });
    }
    EXPECT_FALSE(watched->alive());
    opener.join();
}

TEST(Process, IsTerminatedWhenDestroyedAsADaemon) {
    std::unique_ptr<watch::Watched> watched;
    {
        Process process(sleep_for_ever);
        process.daemon(true).start();
        watched = std::make_unique<watch::Watched>(*process.pid());
        EXPECT_TRUE(watched->alive());
    }
    EXPECT_FALSE(watched->alive());
}

TEST(Process, IsKilledWhenDestroyedAsADaemonThatDoesNotHeedSigterm) {
    const Channel ready;
    std::unique_ptr<watch::Watched> watched;
    {
        Process process([](const std::string& path) {
            std::signal(SIGTERM, SIG_IGN);
            channel::post(path, "deaf");
            sleep_for_ever();
        }, ready.path());
        process.daemon(true).start();
        ready.take();
        watched = std::make_unique<watch::Watched>(*process.pid());
    }
    EXPECT_FALSE(watched->alive());
}

// ---- its end ----

TEST(Process, EndsWithZeroWhateverTheTargetReturns) {
    Process number([] { return 5; }), word([] { return std::string("five"); }), move_only([] { return std::make_unique<int>(5); });
    EXPECT_EQ(ends_with(number), 0);
    EXPECT_EQ(ends_with(word), 0);
    EXPECT_EQ(ends_with(move_only), 0);
}

TEST(Process, SaysWhatWasThrown) {
    struct Unheard {};
    const watch::Captured errors(STDERR_FILENO);
    Process standard([](int x) { throw std::out_of_range("at " + std::to_string(x)); }, 6), own([] { throw Unheard{}; });
    standard.name("thrower");
    EXPECT_EQ(ends_with(standard), 1);
    EXPECT_EQ(errors.text(), "rankpool: uncaught exception in thrower (pid " + std::to_string(*standard.pid()) + "): std::out_of_range: at 6\n");
    EXPECT_EQ(ends_with(own), 1);
    EXPECT_NE(errors.text().find("Unheard"), std::string::npos) << errors.text();
}

TEST(Process, TellsTheSignalThatEndedIt) {
    for (const int signal : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL, SIGPIPE}) {
        Process process([](int number) { raise(number); }, signal);
        EXPECT_EQ(ends_with(process), -signal);
    }
}

TEST(Process, IsReadableInItsSentinelOnlyWithItsExitCode) {
    for (int round = 0; round < 50; ++round) {
        Process process([](int code) { std::exit(code); }, round);
        process.start();
        ASSERT_TRUE(watch::readable(process.sentinel(), 60'000));
        ASSERT_EQ(process.exitcode(), round);
        ASSERT_FALSE(process.is_alive());
        ASSERT_TRUE(watch::readable(process.sentinel(), 0)) << "and stays so";
    }
}

TEST(Process, TakesWhatItLeftRunningInItsGroupWithIt) {
    const Channel pids;
    Process process([](const std::string& path) {
        const pid_t pid = fork();
        if (pid == 0) sleep_for_ever();
        channel::post(path, std::to_string(pid));
    }, pids.path());
    process.start();
    const watch::Watched left(std::stoi(pids.take()));
    EXPECT_TRUE(process.join());
    EXPECT_TRUE(left.ends());
}

// ---- what it sees ----

TEST(Process, SeesTheSurroundingsOfItsCreatorAtItsStart) {
    const auto directory = std::filesystem::current_path();
    Process process([] {
        const char* text = std::getenv("RANKPOOL_TEST_SEEN");
        const bool same = text != nullptr && std::string(text) == "at the start" && std::filesystem::current_path() == "/usr" && umask(0) == 0027;
        std::exit(same ? 21 : 22);
    });
    setenv("RANKPOOL_TEST_SEEN", "at the start", 1);
    std::filesystem::current_path("/usr");
    const mode_t mask = umask(0027);
    process.start();
    umask(mask);
    std::filesystem::current_path(directory);
    unsetenv("RANKPOOL_TEST_SEEN");
    process.join();
    EXPECT_EQ(process.exitcode(), 21);
}

TEST(Process, HasNoStandardInput) {
    Process process([] {
        char byte;
        std::exit(static_cast<int>(read(STDIN_FILENO, &byte, 1)));
    });
    EXPECT_EQ(ends_with(process), 0);
}

TEST(Process, HasTheDefaultActionForEverySignal) {
    Process process([] {
        int changed = 0;
        for (int signal = 1; signal < NSIG; ++signal) {
            struct sigaction action {};
            if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) ++changed;
        }
        sigset_t blocked;
        sigprocmask(SIG_SETMASK, nullptr, &blocked);
        std::exit(changed + (sigisemptyset(&blocked) == 1 ? 0 : 100));
    });
    EXPECT_EQ(ends_with(process), 0);
}

int changed_in_child = 1;

TEST(Process, KeepsItsChangesToItself) {
    Process process([] { std::exit(++changed_in_child); });
    EXPECT_EQ(ends_with(process), 2);
    EXPECT_EQ(changed_in_child, 1);
}

// ---- who may use it ----

TEST(Process, CanBeUsedFromSeveralThreads) {
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&sum, i] {
            for (int round = 0; round < 5; ++round) {
                Process process([](int code) { std::exit(code); }, i);
                process.start();
                process.join();
                sum += process.exitcode().value();
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(sum, 5 * (0 + 1 + 2 + 3 + 4 + 5 + 6 + 7));
}

TEST(Process, IsStartedOnceByManyThreads) {
    Process process(sleep_for_ever);
    std::atomic<int> started{0}, refused{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            try {
                process.start();
                ++started;
            } catch (const std::logic_error&) {
                ++refused;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(started, 1);
    EXPECT_EQ(refused, 3);
    std::thread waiting([&] { process.join(); });
    process.kill();
    waiting.join();
    EXPECT_EQ(process.exitcode(), -SIGKILL);
}

TEST(Process, CanBeMadeInATaskOfAPool) {
    rankpool::Pool pool(2);
    const auto codes = pool.map([](int x) {
        Process process([](int y) {
            // A process of its own, not a worker: nothing of the pool is seen in it.
            std::exit(rankpool::current_worker() || rankpool::current_item() || rankpool::stop_requested() ? 100 : y + 1);
        }, x);
        process.start();
        process.join();
        return process.daemon() ? 200 : process.exitcode().value();
    }, std::vector{1, 2, 3});
    EXPECT_EQ(codes, (std::vector{2, 3, 4}));
}

TEST(Process, IsNamedInTheWorkersOfAPool) {
    rankpool::Pool pool(1);
    EXPECT_EQ(pool.apply([] { return rankpool::current_process().name; }), "PoolWorker-1");
    EXPECT_EQ(pool.apply([] { return rankpool::current_process().pid; }), pool.workers()[0].pid);
    EXPECT_TRUE(pool.apply([] { return rankpool::parent_process().has_value(); }));
}

TEST(Process, MayMakeAPool) {
    Process process([] {
        rankpool::Pool pool(2);
        const auto squares = pool.map([](int x) { return x * x; }, std::vector{1, 2, 3});
        std::exit(std::accumulate(squares.begin(), squares.end(), 0));
    });
    EXPECT_EQ(ends_with(process), 14);
}

TEST(Process, CannotBeUsedInACopyThatTheProgramForked) {
    Process process(sleep_for_ever);
    process.start();
    const pid_t copy = fork();
    if (copy == 0) {
        int code = 0;
        {
            Process of_copy = std::move(process);
            try {
                of_copy.join();
                code = 1;
            } catch (const std::logic_error&) {
            }
            if (!rankpool::active_children().empty()) code = 2;
        }  // and nobody waits here
        _exit(code);
    }
    int status = 0;
    waitpid(copy, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_TRUE(process.is_alive());
    process.kill();
}

TEST(Process, LeavesNoDescriptorBehind) {
    const auto use = [] {
        Process process([] {});
        EXPECT_EQ(ends_with(process), 0);
        Process unstarted([] {});
    };
    use();
    const int before = watch::open_descriptors();
    for (int i = 0; i < 50; ++i) use();
    EXPECT_LE(watch::open_descriptors(), before + 1);  // the thread that told of the last end may still hold its sentinel
}

// ---- the others ----

TEST(ActiveChildren, AreThoseThatRunInTheOrderOfTheirStarts) {
    Process first(sleep_for_ever), second(sleep_for_ever), third(sleep_for_ever);
    first.name("first");
    second.name("second").daemon(true);
    for (Process* process : {&second, &first}) process->start();
    auto active = rankpool::active_children();
    ASSERT_EQ(active.size(), 2u);
    EXPECT_EQ(active[0].name, "second");
    EXPECT_EQ(active[0].pid, *second.pid());
    EXPECT_TRUE(active[0].daemon);
    EXPECT_EQ(active[1].name, "first");
    EXPECT_FALSE(active[1].daemon);
    second.kill();
    second.join();
    active = rankpool::active_children();
    ASSERT_EQ(active.size(), 1u);
    EXPECT_EQ(active[0].pid, *first.pid());
    first.kill();
    first.join();
    EXPECT_TRUE(rankpool::active_children().empty());
}

TEST(ActiveChildren, AreNoneInANewProcess) {
    Process sleeper(sleep_for_ever), process([] { std::exit(static_cast<int>(rankpool::active_children().size())); });
    sleeper.daemon(true).start();
    EXPECT_EQ(ends_with(process), 0);
}

}  // namespace
