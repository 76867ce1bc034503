#include "shm/wait_word.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <new>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using rankpool::shm::Patience;
using rankpool::shm::WaitWord;

namespace {

// Long enough for any machine: a wait that takes half of it has lost its wake-up, whatever it returns.
constexpr auto too_long = 40s;
constexpr Patience at_once{.spin = 0ns, .yields = 0};
constexpr Patience spinning{.spin = 20us, .yields = 0};
constexpr Patience yielding{.spin = 0ns, .yields = 4};

// A wait that is to be ended by a signal.
bool is_woken(WaitWord& word, WaitWord::Ticket ticket, Patience patience) {
    const auto begin = std::chrono::steady_clock::now();
    return word.wait(ticket, patience, too_long) && std::chrono::steady_clock::now() - begin < too_long / 2;
}

// Waits until a thread (of any process) sleeps in the kernel.
void await_sleep(pid_t thread) {
    for (;;) {
        std::ifstream in("/proc/" + std::to_string(thread) + "/stat");
        std::string stat;
        std::getline(in, stat);
        const auto name_end = stat.rfind(')');
        if (name_end != std::string::npos && name_end + 2 < stat.size() && stat[name_end + 2] == 'S') return;
        sched_yield();
    }
}

TEST(WaitWord, ATicketStaysUntilASignal) {
    WaitWord word;
    const auto before = word.ticket();
    EXPECT_EQ(word.ticket(), before);
    word.signal();
    const auto after = word.ticket();
    EXPECT_NE(after, before);
    EXPECT_EQ(word.ticket(), after);
}

TEST(WaitWord, AWaitWithAnOldTicketReturnsAtOnce) {
    WaitWord word;
    const auto ticket = word.ticket();
    word.signal();
    EXPECT_TRUE(is_woken(word, ticket, at_once));
    EXPECT_TRUE(word.wait(ticket, at_once, 0ns));
}

TEST(WaitWord, WithoutASignalAWaitEndsAfterItsLimit) {
    WaitWord word;
    for (const Patience patience : {at_once, spinning, yielding}) {
        const auto begin = std::chrono::steady_clock::now();
        bool changed = true;
        // A wait may return early for no reason, then with true.
        while (changed && std::chrono::steady_clock::now() - begin < too_long)
            changed = word.wait(word.ticket(), patience, 5ms);
        EXPECT_FALSE(changed);
        EXPECT_GE(std::chrono::steady_clock::now() - begin, 5ms);
    }
    EXPECT_FALSE(word.wait(word.ticket(), spinning, 0ns));
    EXPECT_FALSE(word.wait(word.ticket(), spinning, -1ns));
}

TEST(WaitWord, AWaitAfterOneThatTimedOutIsWokenToo) {
    WaitWord word;
    (void)word.wait(word.ticket(), at_once, 1ms);  // leaves the mark of a sleeper behind
    const auto ticket = word.ticket();
    std::thread signaller([&] { word.signal(); });
    EXPECT_TRUE(is_woken(word, ticket, at_once));
    signaller.join();
    EXPECT_NE(word.ticket(), ticket);
}

TEST(WaitWord, ASleeperIsWoken) {
    WaitWord word;
    std::atomic<pid_t> waiter_id{0};
    std::atomic<bool> done{false};
    std::thread waiter([&] {
        waiter_id = gettid();
        while (!done) {
            const auto ticket = word.ticket();
            if (done) break;
            EXPECT_TRUE(is_woken(word, ticket, at_once));
        }
    });
    while (waiter_id == 0) sched_yield();
    await_sleep(waiter_id);
    done = true;
    word.signal();
    waiter.join();
}

TEST(WaitWord, OneSignalWakesAllSleepers) {
    constexpr int sleepers = 5;
    WaitWord word;
    std::atomic<bool> done{false};
    std::vector<std::atomic<pid_t>> ids(sleepers);
    std::vector<std::thread> waiters;
    for (auto& id : ids)
        waiters.emplace_back([&] {
            id = gettid();
            while (!done) {
                const auto ticket = word.ticket();
                if (done) break;
                EXPECT_TRUE(is_woken(word, ticket, at_once));
            }
        });
    for (auto& id : ids) {
        while (id == 0) sched_yield();
        await_sleep(id);
    }
    done = true;
    word.signal();
    for (auto& waiter : waiters) waiter.join();
}

// Two threads in turn, each waiting for a signal on a word of its own. `value` is plain memory that nothing but the
// words orders: a thread sanitizer sees whether they do.
void play_ping_pong(Patience patience, int rounds) {
    WaitWord to[2];
    long value = 0;
    const auto play = [&](int me, WaitWord::Ticket seen) {
        for (int round = 0; round < rounds; ++round) {
            const bool begins = me == 0 && round == 0;
            while (!begins && to[me].ticket() == seen)
                ASSERT_TRUE(is_woken(to[me], seen, patience)) << "a wake-up was lost in round " << round;
            seen = to[me].ticket();
            ++value;
            to[1 - me].signal();
        }
    };
    std::thread other(play, 1, to[1].ticket());
    play(0, to[0].ticket());
    other.join();
    EXPECT_EQ(value, 2L * rounds);
}

TEST(WaitWord, NoWakeUpIsLostBetweenSleepers) { play_ping_pong(at_once, 5000); }
TEST(WaitWord, NoWakeUpIsLostBetweenSpinners) { play_ping_pong(spinning, 5000); }
TEST(WaitWord, NoWakeUpIsLostBetweenYielders) { play_ping_pong(yielding, 5000); }

TEST(WaitWord, NoSignalOfManySignallersIsLost) {
    constexpr int signallers = 4, each = 5000;
    WaitWord word;
    std::atomic<int> events{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < signallers; ++i)
        threads.emplace_back([&] {
            for (int j = 0; j < each; ++j) {
                events.fetch_add(1, std::memory_order_relaxed);
                word.signal();
            }
        });
    for (;;) {
        const auto ticket = word.ticket();
        if (events.load(std::memory_order_relaxed) == signallers * each) break;
        ASSERT_TRUE(is_woken(word, ticket, at_once)) << "a wake-up was lost after " << events << " events";
    }
    for (auto& thread : threads) thread.join();
}

TEST(WaitWord, ASleeperInAnotherProcessIsWoken) {
    void* memory = mmap(nullptr, sizeof(WaitWord), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto* word = new (memory) WaitWord;
    const auto ticket = word->ticket();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        while (word->ticket() == ticket)
            if (!is_woken(*word, ticket, at_once)) _exit(1);
        _exit(0);
    }
    await_sleep(child);
    word->signal();
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    munmap(memory, sizeof(WaitWord));
}

TEST(Patience, SpinsOnlyWhereEveryRunnerHasACpu) {
    const Patience alone = Patience::for_runners(2, 2), crowded = Patience::for_runners(3, 2);
    EXPECT_GT(alone.spin, 0ns);
    EXPECT_EQ(crowded.spin, 0ns);
    EXPECT_GT(crowded.yields, 0);
}

}  // namespace
