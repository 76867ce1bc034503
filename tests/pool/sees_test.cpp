// What a task sees of the program: statics, environment, directory, umask, output, nested pools.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <sstream>
#include <thread>

#include "pool/backends.hpp"

namespace {

using namespace pool_test;
using rankpool::Pool;

class Sees : public OnBackend {};
ON_PROCESSES(Sees);

int worker_state = 0;

TEST_P(Sees, StaticsAsTheyWereWhenRunWasCalled) {
    Pool pool(options(1));
    EXPECT_EQ(pool.apply([] { return set_before_run; }), 41);
    EXPECT_EQ(pool.apply([] { return set_after_run; }), 0);
    EXPECT_EQ(set_after_run, 42);
}

TEST_P(Sees, WhatTheInitializerAndEarlierTasksDid) {
    auto chosen = options(1);
    chosen.initializer = [] { worker_state = 10; };
    Pool pool(chosen);
    EXPECT_EQ(pool.apply([] { return ++worker_state; }), 11);
    EXPECT_EQ(pool.apply([] { return ++worker_state; }), 12);
    EXPECT_EQ(worker_state, 0);
}

TEST_P(Sees, EnvironmentDirectoryAndUmaskOfThePoolsCreator) {
    const auto before = std::filesystem::current_path();
    setenv("RANKPOOL_TEST_SEEN", "by tasks", 1);
    std::filesystem::current_path("/usr");
    const mode_t mask = umask(0027);
    Pool pool(options(2));
    umask(mask);
    std::filesystem::current_path(before);
    unsetenv("RANKPOOL_TEST_SEEN");
    EXPECT_EQ(pool.apply([] { const char* text = std::getenv("RANKPOOL_TEST_SEEN"); return std::string(text != nullptr ? text : "none"); }), "by tasks");
    EXPECT_EQ(pool.apply([] { return std::filesystem::current_path(); }), "/usr");
    EXPECT_EQ(pool.apply([] { const mode_t now = umask(0); umask(now); return now; }), 0027u);
    Pool later(options(2));
    EXPECT_EQ(later.apply([] { return std::getenv("RANKPOOL_TEST_SEEN") == nullptr; }), true);
}

TEST_P(Sees, NoStandardInputAndNoLauncherVariables) {
    Pool pool(options(1));
    EXPECT_EQ(pool.apply([] { char byte; return read(0, &byte, 1); }), 0);
    for (const char* name : {"RANKPOOL_JOB", "RANKPOOL_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PMI_FD"})
        EXPECT_TRUE(pool.apply([](const std::string& variable) { return std::getenv(variable.c_str()) == nullptr; }, std::string(name))) << name;
}

TEST_P(Sees, ItsShareOfTheCpusAsThreadCount) {
    if (std::getenv("OMP_NUM_THREADS") != nullptr) return;
    Pool pool(options(1));
    EXPECT_GE(pool.apply([] { const char* text = std::getenv("OMP_NUM_THREADS"); return text != nullptr ? std::atoi(text) : 0; }), 1);
}

struct Place {
    pid_t pid;
    int rank, threads;
    cpu_set_t cpus;
};
Place place_of_worker(int) {
    Place here{getpid(), rankpool::current_worker()->rank, 0, {}};
    if (const char* text = std::getenv("OMP_NUM_THREADS")) here.threads = std::atoi(text);
    sched_getaffinity(0, sizeof here.cpus, &here.cpus);
    return here;
}

TEST_P(Sees, TheCpusOfTheThreadThatMadeThePool) {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "there is one CPU only";
    std::size_t last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &all)) --last;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    std::unique_ptr<Pool> pool;
    int usual = 0, usable = 0;
    std::thread([&] {
        ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
        usable = rankpool::process_cpu_count();
        usual = Pool(options(0)).size();
        pool = std::make_unique<Pool>(options(1));
    }).join();
    ASSERT_NE(pool, nullptr);
    if (ranks() < 2) {  // in a job each rank has its share of its node
        EXPECT_EQ(usual, usable);
    }
    const Place before = pool->apply(place_of_worker, 0);
    ASSERT_LE(before.rank, 0) << "a single worker is on rank 0";
    EXPECT_TRUE(CPU_EQUAL(&before.cpus, &one));
    // Its replacement, which another thread asks for, is the same.
    kill(before.pid, SIGKILL);
    while (pool->workers()[0].pid == before.pid) sched_yield();
    const Place after = pool->apply(place_of_worker, 0);
    EXPECT_NE(after.pid, before.pid);
    EXPECT_TRUE(CPU_EQUAL(&after.cpus, &one));
    EXPECT_EQ(after.threads, before.threads);
}

TEST_P(Sees, OutputIsThereBeforeTheResultAndOnlyOnce) {
    if (ranks() > 0) return;  // there the launcher is in between
    char path[] = "/tmp/rankpool-output-XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    std::printf("buffered in main");  // must not be printed by a worker too
    std::fflush(stdout);
    const int out = dup(STDOUT_FILENO);
    dup2(fd, STDOUT_FILENO);
    std::string seen;
    {
        Pool pool(options(2));
        pool.map([](int x) { std::printf("task %d\n", x); }, {1, 2, 3});
        std::ifstream in(path);
        std::stringstream text;
        text << in.rdbuf();
        seen = text.str();
    }
    dup2(out, STDOUT_FILENO);
    close(out);
    close(fd);
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_EQ(text.str(), seen) << "nothing more is printed at the workers' end";
    for (int x = 1; x <= 3; ++x) {
        const std::string line = "task " + std::to_string(x) + "\n";
        const auto first = seen.find(line);
        EXPECT_NE(first, std::string::npos) << seen;
        EXPECT_EQ(seen.find(line, first + 1), std::string::npos) << seen;
    }
    unlink(path);
}

TEST_P(Sees, ATaskMayMakeItsOwnPool) {
    Pool pool(options(2));
    const auto sums = pool.map([](int x) {
        Pool inner(2);
        int sum = 0;
        for (const int value : inner.map([](int y) { return y * y; }, std::vector{x, x + 1})) sum += value;
        return sum;
    }, {1, 2, 3});
    EXPECT_EQ(sums, (std::vector{5, 13, 25}));
}

std::size_t entries(const char* directory) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
    return count;
}

std::size_t lines(const char* file) {
    std::ifstream in(file);
    std::size_t count = 0;
    for (std::string line; std::getline(in, line);) ++count;
    return count;
}

TEST_P(Sees, PoolsLeaveNoDescriptorMappingOrThreadBehind) {
#if defined(__SANITIZE_ADDRESS__)
    const int rounds = 50;  // forks are slow there
#else
    const int rounds = ranks() > 0 ? 100 : 1000;
#endif
    const auto use = [this] {
        Pool pool(options(2));
        (void)pool.map([](int x) { return x; }, {1, 2, 3});
        pool.apply_async([] {}).wait();
    };
    for (int i = 0; i < 20; ++i) use();
    const auto descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task"), maps = lines("/proc/self/maps");
    for (int i = 0; i < rounds; ++i) use();
    EXPECT_LE(entries("/proc/self/fd"), descriptors);
    EXPECT_LE(entries("/proc/self/task"), threads);
    EXPECT_LE(lines("/proc/self/maps"), maps + 16);  // the heap may grow by a mapping or two
}

// Trivial items are run in blocks; each has its own index all the same.
TEST_P(Sees, TheIndexOfEveryTrivialItem) {
    Pool pool(options(2));
    const auto always = pool.map([](int) { return *rankpool::current_item(); }, std::vector<int>(20'000));
    for (std::size_t i = 0; i < always.size(); ++i) ASSERT_EQ(always[i], i);
    std::vector<int> numbers(200'000);
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto sometimes = pool.map([](int x) { return x % 1000 == 999 ? *rankpool::current_item() : 0; }, numbers);
    for (std::size_t i = 999; i < sometimes.size(); i += 1000) ASSERT_EQ(sometimes[i], i);
}

}  // namespace
