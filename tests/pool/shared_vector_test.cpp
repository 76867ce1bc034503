// shared_vector: the container, and calls that read and write it in place.
#include <atomic>
#include <fstream>
#include <list>
#include <numeric>
#include <sstream>
#include <thread>

#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/backends.hpp"

namespace {

using namespace pool_test;
using rankpool::Pool;
using rankpool::share;
using rankpool::shared_vector;

TEST(SharedVector, HasAVectorsInterface) {
    shared_vector<int> v{3, 1, 2};
    EXPECT_EQ(v.size(), 3u);
    v.push_back(v.front());
    v.emplace_back(5);
    EXPECT_EQ(std::vector<int>(v.begin(), v.end()), (std::vector{3, 1, 2, 3, 5}));
    EXPECT_EQ(v.at(4), 5);
    EXPECT_THROW(v.at(5), std::out_of_range);
    v.resize(2);
    v.resize(4);
    EXPECT_EQ(v, (shared_vector<int>{3, 1, 0, 0}));
    v.resize(5, 9);
    EXPECT_EQ(v.back(), 9);
    EXPECT_LT(v, (shared_vector<int>{4}));
    shared_vector<int> copy = v, moved = std::move(v);
    EXPECT_EQ(copy, moved);
    copy[0] = 7;
    EXPECT_NE(copy, moved);
    copy = {1};
    EXPECT_EQ(copy.size(), 1u);
    copy.clear();
    EXPECT_TRUE(copy.empty());
    EXPECT_EQ(shared_vector<double>(3, 2.5), (shared_vector<double>{2.5, 2.5, 2.5}));
    EXPECT_THROW(shared_vector<int>(~std::size_t{0} / 2), std::exception);
}

TEST(SharedVector, ShareTakesAnyRange) {
    EXPECT_EQ(share(std::list<short>{1, 2}), (shared_vector<short>{1, 2}));
    std::istringstream text("4 5 6");
    EXPECT_EQ(shared_vector(std::istream_iterator<int>(text), std::istream_iterator<int>()), (shared_vector<int>{4, 5, 6}));
    EXPECT_EQ(share({1.5, 2.5}), (shared_vector<double>{1.5, 2.5}));
}

TEST(SharedVector, GivesItsMemoryBack) {
    const auto shared_kilobytes = [] {
        std::ifstream status("/proc/self/status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("RssShmem:")) return std::stol(line.substr(9));
        return -1L;
    };
    const long before = shared_kilobytes();
    for (int i = 0; i < 10; ++i) shared_vector<char> megabytes(std::size_t{40} << 20);
    EXPECT_LT(shared_kilobytes(), before + 50 * 1024);
}

TEST(SharedVector, ACopyInAForkedProcessIsHarmless) {
    auto v = share(std::vector<int>(100'000, 1));
    const pid_t child = fork();
    if (child == 0) {
        v = {};
        _exit(0);
    }
    waitpid(child, nullptr, 0);
    EXPECT_EQ(std::accumulate(v.begin(), v.end(), 0), 100'000);
}

class Shared : public OnBackend {};
ON_ALL_BACKENDS(Shared);
class SharedInProcesses : public OnBackend {};  // a crash would take the test with it, and a thread cannot be killed
ON_PROCESSES(SharedInProcesses);

TEST_P(Shared, IsInputAndOutputOfEveryCall) {
    Pool pool(options());
    shared_vector<int> input(100'000);
    std::iota(input.begin(), input.end(), 0);
    shared_vector<long> output(input.size() + 1, -1);
    const auto square = [](int x) { return static_cast<long>(x) * x; };
    for (const std::size_t chunksize : {0u, 1u, 13u}) {
        std::fill(output.begin(), output.end(), -1);
        pool.map_into(square, input, output, {.chunksize = chunksize});
        for (std::size_t i = 0; i < input.size(); ++i) ASSERT_EQ(output[i], square(input[i]));
        EXPECT_EQ(output.back(), -1) << "what lies behind the results was touched";
    }
    EXPECT_EQ(pool.map(square, input).back(), square(99'999));
    EXPECT_EQ(pool.map_async(square, input).get().size(), input.size());
    EXPECT_EQ(pool.map_reduce(square, input, [](long a, long b) { return a + b; }, 0L), 333328333350000L);
    EXPECT_EQ(pool.map_outcomes(square, input).size(), input.size());
    std::vector<long> own(input.size());
    pool.map_into(square, input, own);
    EXPECT_TRUE(std::equal(own.begin(), own.end(), output.begin()));
    pool.map_into(square, std::vector<int>(input.begin(), input.end()), output);
    EXPECT_TRUE(std::equal(own.begin(), own.end(), output.begin()));
    pool.map_into(square, std::span(input).subspan(10, 5), std::span(output).subspan(3));
    EXPECT_EQ(output[3], 100);
    EXPECT_EQ(output[7], 14 * 14);
    EXPECT_EQ(output[8], 8 * 8) << "what lies behind the results was touched";
}

TEST_P(Shared, MayBeInputAndOutputAtOnce) {
    Pool pool(options());
    auto values = share(std::vector<int>(50'000, 3));
    pool.map_into([](int x) { return x + 1; }, values, values);
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 200'000);
}

TEST_P(Shared, AnItemsErrorLeavesTheOthersResults) {
    Pool pool(options());
    auto values = share(std::vector<int>(1000));
    std::iota(values.begin(), values.end(), 0);
    shared_vector<int> out(1000, -1);
    const auto f = [](int x) { return x % 100 == 7 ? throw std::runtime_error(std::to_string(x)) : 2 * x; };
    try {
        pool.map_into(f, values, out, {.chunksize = 13});
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "7");
    }
    if (ranks() > 1) return;  // others' results go by way of messages
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], i % 100 == 7 ? -1 : 2 * i);
}

TEST_P(SharedInProcesses, ALostWorkerCostsItsItem) {
    Pool pool(options());
    auto values = share(std::vector<int>(20'000));
    std::iota(values.begin(), values.end(), 0);
    shared_vector<int> out(values.size(), -1);
    const auto f = [](int x) { return x == 12'345 ? raise(SIGKILL) : x + 1; };
    try {
        pool.map_into(f, values, out);
        FAIL();
    } catch (const rankpool::WorkerLost& lost) {
        EXPECT_EQ(lost.item(), 12'345u);
    }
    for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(i == 12'345 || out[static_cast<std::size_t>(i)] == i + 1) << i;
    pool.map_into([](int x) { return x - 1; }, values, out);
    EXPECT_EQ(out[12'345], 12'344);
}

TEST_P(Shared, NothingIsWrittenAfterAFailedCall) {
    Pool pool(options(2));
    for (int round = 0; round < 20; ++round) {
        {
            shared_vector<int> in(1000), out(1000);
            std::iota(in.begin(), in.end(), 0);
            const auto f = [](int x) { return x == 500 ? throw std::runtime_error("stop") : -1; };
            EXPECT_THROW(pool.map_into(f, in, out, {.chunksize = 1, .on_error = rankpool::OnError::fail_fast}), std::runtime_error);
        }
        const shared_vector<int> next(4000);
        EXPECT_EQ(std::accumulate(next.begin(), next.end(), 0), 0);
        (void)pool.map([](int x) { return x; }, std::vector<int>(100));
        EXPECT_EQ(std::accumulate(next.begin(), next.end(), 0), 0);
    }
}

TEST_P(SharedInProcesses, TerminateEndsACallThatWorksInPlace) {
    Pool pool(options(2));
    int pipes[2];
    ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
    const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(pipes[1]);
    std::thread terminator([&] {
        char byte = 0;
        EXPECT_EQ(read(pipes[0], &byte, 1), 1);
        pool.terminate();
    });
    shared_vector<int> in(10, 1), out(10);
    EXPECT_THROW(pool.map_into(rankpool::bind_shared([](const std::string& to, int) {
        const int fd = open(to.c_str(), O_WRONLY | O_CLOEXEC);
        (void)!write(fd, "x", 1);
        for (;;) pause();
        return 1;
    }, path), in, out), rankpool::CancelledError);
    terminator.join();
    close(pipes[0]);
    close(pipes[1]);
    EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 0);
}

TEST_P(Shared, ATaskHasItsItemForItself) {
    Pool pool(options(1));
    const auto values = share(std::vector<int>{1, 2, 3});
    EXPECT_EQ(pool.map([](const int& x) { return const_cast<int&>(x) = 9; }, values), (std::vector{9, 9, 9}));
    EXPECT_EQ(values, (shared_vector<int>{1, 2, 3}));
}

}  // namespace
