// The ranks of a job as threads of one process, for tests: what a thread sanitizer can see.
#pragma once

#include "shm/shm_transport.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>
#include <rankpool/error.hpp>
#include "os/memory.hpp"
#include "shm/collective_area.hpp"
#include "spmd/departure.hpp"

namespace shm_test {

using namespace std::chrono_literals;
using rankpool::Error;
using rankpool::Status;
using rankpool::comm::any;
using rankpool::comm::Fold;
using rankpool::comm::Message;
using rankpool::comm::Operation;
using rankpool::comm::Place;
using rankpool::comm::RankDeparted;
using rankpool::comm::Sizes;
using rankpool::comm::Transport;
using rankpool::shm::AreaPlace;
using rankpool::shm::CollectiveArea;
using rankpool::shm::Directory;
using rankpool::shm::Form;
using rankpool::shm::JobMemory;
using rankpool::shm::Presence;
using rankpool::shm::ShmTransport;
using rankpool::shm::slots_per_rank;
using rankpool::wire::Buffer;

inline constexpr int tag = 5;
inline constexpr auto long_enough = 60s;
#ifdef __SANITIZE_THREAD__
inline constexpr auto hangs_after = 60s;
#else
inline constexpr auto hangs_after = 20s;
#endif

using Bytes = std::vector<std::byte>;
using Body = std::function<void(ShmTransport&)>;

inline std::size_t index_of(int rank) { return static_cast<std::size_t>(rank); }

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}
template <class T>
T value_of(const Message& message) {
    T value{};
    EXPECT_EQ(message.bytes.size(), sizeof value);
    if (message.bytes.size() == sizeof value) std::memcpy(&value, message.bytes.data(), sizeof value);
    return value;
}

// Bytes that tell where they belong: of which rank, in which message, at which place.
inline Bytes pattern(std::size_t size, int rank, int number) {
    Bytes bytes(size);
    std::uint64_t word = static_cast<std::uint64_t>(rank) * 1000003 + static_cast<std::uint64_t>(number) * 7919 + size;
    for (std::size_t at = 0; at < size; at += sizeof word) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
    }
    return bytes;
}
inline void expect_same(std::span<const std::byte> arrived, std::span<const std::byte> expected) {
    ASSERT_EQ(arrived.size(), expected.size());
    if (expected.empty() || std::memcmp(arrived.data(), expected.data(), expected.size()) == 0) return;
    const auto first = std::mismatch(arrived.begin(), arrived.end(), expected.begin()).first - arrived.begin();
    ADD_FAILURE() << "of " << expected.size() << " bytes some are wrong, the first one at " << first;
}
inline void expect_pattern(std::span<const std::byte> arrived, std::size_t size, int rank, int number) {
    expect_same(arrived, pattern(size, rank, number));
}
inline Buffer buffer_of(std::span<const std::byte> bytes) {
    Buffer buffer;
    buffer.append(bytes.data(), bytes.size());
    return buffer;
}

// As where a process cannot be found: nobody can read this rank's memory.
inline void refuse_single_copy(const JobMemory& memory, int rank) { memory.rank_line(rank).pid = INT_MAX; }

// Ends the waits for every rank of a job that has not ended after a while.
class Watchdog {
  public:
    explicit Watchdog(const JobMemory& memory) : thread_([this, &memory] { watch(memory); }) {}
    ~Watchdog() {
        {
            std::lock_guard lock(mutex_);
            ended_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

  private:
    void watch(const JobMemory& memory) {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, hangs_after, [&] { return ended_; })) return;
        ADD_FAILURE() << "the job hangs; its ranks are declared dead";
        for (int rank = 0; rank < memory.ranks(); ++rank) memory.mark_gone(rank);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool ended_ = false;
    std::thread thread_;
};

// Some ranks of a job as threads. What one of them throws fails the test; it leaves then, which ends the others' waits.
inline void run_some_ranks(const JobMemory& memory, int ranks, const Body& body) {
    const Watchdog watchdog(memory);
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::string errors;
    for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            try {
                ShmTransport transport(memory.share(), rank);
                body(transport);
            } catch (const std::exception& error) {
                std::lock_guard lock(mutex);
                errors += "rank " + std::to_string(rank) + ": " + error.what() + "\n";
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(errors, "");
}

// All ranks of a job, until the orderly end.
inline void run_whole_job(const JobMemory& memory, const Body& body) {
    run_some_ranks(memory, memory.ranks(), [&](ShmTransport& transport) {
        body(transport);
        EXPECT_EQ(transport.finish(0), 0);
    });
}
inline void run_job(int ranks, const Body& body) { run_whole_job(JobMemory::create(ranks), body); }

// The same where the ranks cannot read each other's memory.
inline void run_job_without_single_copy(int ranks, const Body& body) {
    const JobMemory memory = JobMemory::create(ranks);
    run_whole_job(memory, [&](ShmTransport& transport) {
        refuse_single_copy(memory, transport.rank());
        body(transport);
    });
}

// Lets the others go ahead, as far as that goes.
inline void be_late(int turns = 50) {
    for (int turn = 0; turn < turns; ++turn) std::this_thread::yield();
}
inline void await_count(const std::atomic<int>& counter, int count) {
    const auto begin = std::chrono::steady_clock::now();
    while (counter < count) {
        if (std::chrono::steady_clock::now() - begin > hangs_after / 2) throw std::runtime_error("the others do not come");
        std::this_thread::yield();
    }
}

// Both ways of moving large messages.
inline void run_job_with_and_without_single_copy(int ranks, const Body& body) {
    run_job(ranks, body);
    run_job_without_single_copy(ranks, body);
}

}  // namespace shm_test
