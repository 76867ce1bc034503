// After a call has returned or thrown, nobody writes into its caller's memory. Here that memory is taken away at once: a
// late write ends the test program, and where it was on the heap the address sanitizer tells.
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <numeric>
#include <span>
#include <thread>

#include "pool/backends.hpp"
#include "support/descendants.hpp"
#include "support/item_log.hpp"

namespace {

using namespace pool_test;
using namespace std::chrono_literals;
using item_log::ItemLog;
using item_log::Moment;
using item_log::Path;
using rankpool::OnError;
using rankpool::Pool;

class CallerMemory : public OnBackend {};
ON_ALL_BACKENDS(CallerMemory);

constexpr std::size_t item_count = 4096;

/// Pages of numbers that can be taken away.
class Pages {
  public:
    Pages() : data_(static_cast<int*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        if (data_ == MAP_FAILED) throw std::bad_alloc();
    }
    ~Pages() { munmap(data_, bytes); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    std::span<int> all() const { return {data_, item_count}; }
    /// Whoever touches them from now on dies. The address stays taken, so that nothing else comes there.
    void take_away() const { ASSERT_EQ(mprotect(data_, bytes, PROT_NONE), 0); }

  private:
    static constexpr std::size_t bytes = item_count * sizeof(int);
    int* data_;
};

std::vector<int> numbers(std::size_t count = item_count) {
    std::vector<int> all(count);
    std::iota(all.begin(), all.end(), 0);
    return all;
}

// Work after which results that were still on their way have come.
void use(Pool& pool) {
    for (int round = 0; round < 3; ++round) EXPECT_EQ(pool.map([](int x) { return x; }, numbers(500), {.chunksize = 5}), numbers(500));
}

int spin(int x) {
    const auto end = std::chrono::steady_clock::now() + 20us;
    while (std::chrono::steady_clock::now() < end) {
    }
    return x;
}

TEST_P(CallerMemory, IsLeftAloneAfterTheCallHasReturned) {
    Pool pool(options());
    for (int round = 0; round < 5; ++round) {
        const Pages out;
        auto on_heap = std::make_unique<std::vector<int>>(item_count);
        pool.map_into(spin, numbers(), out.all(), {.chunksize = 7});
        pool.map_into(spin, numbers(), *on_heap);
        EXPECT_TRUE(std::equal(out.all().begin(), out.all().end(), on_heap->begin()));
        out.take_away();
        on_heap.reset();
        use(pool);
    }
}

TEST_P(CallerMemory, IsLeftAloneAfterFailFast) {
    Pool pool(options());
    for (int round = 0; round < 10; ++round) {
        const Pages in, out;
        auto on_heap = std::make_unique<std::vector<int>>(item_count);
        std::iota(in.all().begin(), in.all().end(), 0);
        const auto function = [](int x) { return x == 40 ? throw std::domain_error("forty") : spin(x); };
        const rankpool::MapOptions fast{.chunksize = static_cast<std::size_t>(round), .on_error = OnError::fail_fast};
        EXPECT_THROW(pool.map_into(function, in.all(), out.all(), fast), std::domain_error);
        out.take_away();
        in.take_away();  // nor is it read
        EXPECT_THROW(pool.map_into(function, numbers(), *on_heap, fast), std::domain_error);
        on_heap.reset();
        use(pool);
    }
}

// Input that is large enough to be read where it lies is gone, while workers are still at it.
TEST_P(CallerMemory, OfALargeInputMayGoAfterFailFast) {
    Pool pool(options());
    for (int round = 0; round < 10; ++round) {
        auto items = std::make_unique<std::vector<int>>(std::size_t{1} << 20, 3);
        items->front() = 0;
        EXPECT_THROW(pool.map([](int x) { return x == 0 ? throw std::domain_error("zero") : x; }, *items, {.on_error = OnError::fail_fast}), std::domain_error);
        items.reset();
        use(pool);
    }
}

// Goes on until the file is gone, whatever its pool does.
int until_gone(const Path& gate, const Path& log, int x) {
    note(log, static_cast<std::uint64_t>(x), Moment::started);
    while (access(gate.text, F_OK) == 0) sched_yield();
    note(log, static_cast<std::uint64_t>(x), Moment::ended);
    return x;
}

TEST_P(CallerMemory, IsLeftAloneAfterTerminate) {
    if (GetParam() == rankpool::Backend::serial) return;  // there the tasks are the caller's own
    for (int round = 0; round < 4; ++round) {
        const ItemLog log, gate;
        const Pages out;
        auto on_heap = std::make_unique<std::vector<int>>(item_count);
        auto pool = std::make_unique<Pool>(options());
        const auto function = [gate = gate.path(), log = log.path()](int x) { return until_gone(gate, log, x); };
        std::thread caller([&] {
            const std::span<int> target = round % 2 == 0 ? out.all() : std::span<int>(*on_heap);
            EXPECT_THROW(pool->map_into(function, numbers(), target, {.chunksize = 1}), rankpool::CancelledError);
            out.take_away();
            on_heap.reset();
        });
        EXPECT_TRUE(descendants::comes_true([&] { return !log.records().empty(); }));
        pool->terminate();
        caller.join();
        // Threads cannot be killed: their tasks end only now, and have nobody to give their results to.
        unlink(gate.path().text);
        const auto open = [&] {
            int count = 0;
            for (const auto& record : log.records()) count += record.moment == Moment::started ? 1 : -1;
            return count;
        };
        if (!isolated()) {
            EXPECT_TRUE(descendants::comes_true([&] { return open() == 0; }));
        }
        pool.reset();
    }
}

// Many results at once are carried to the caller's memory by the workers: not any more when the call is over, by whatever.
TEST_P(CallerMemory, OfManyResultsIsLeftAloneAfterAnEarlyEnd) {
    constexpr int all = 1 << 18, chunk = 20'000, culprit = 5'000;  // which ends the call while others have results in hand
    const auto brief = [](int x) {
        const auto end = std::chrono::steady_clock::now() + 500ns;
        while (std::chrono::steady_clock::now() < end) {
        }
        return x;
    };
    const auto expect_untouched_by = [&](auto function, auto chosen) {
        Pool pool(chosen);
        for (int round = 0; round < 4; ++round) {
            std::vector<int> out(all);
            EXPECT_ANY_THROW(pool.map_into(function, numbers(all), out, {.chunksize = chunk, .on_error = OnError::fail_fast}));
            std::fill(out.begin(), out.end(), -1);
            if (chosen.on_loss == rankpool::OnLoss::break_pool) {
                EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](int x) { return x == -1; }));
                return;
            }
            use(pool);
            EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](int x) { return x == -1; }));
        }
    };
    expect_untouched_by([=](int x) { return x == culprit ? throw std::domain_error("it") : brief(x); }, options());
    if (!isolated()) return;
    auto chosen = options();
    const auto deadly = [=](int x) { return x == culprit ? raise(SIGKILL) : brief(x); };
    expect_untouched_by(deadly, chosen);
    chosen.on_loss = rankpool::OnLoss::break_pool;
    for (int round = 0; round < 3; ++round) expect_untouched_by(deadly, chosen);
}

class CallerMemoryOfProcesses : public OnBackend {};
ON_PROCESSES(CallerMemoryOfProcesses);

TEST_P(CallerMemoryOfProcesses, IsLeftAloneAfterATimeout) {
    auto chosen = options();
    chosen.task_timeout = 100ms;
    Pool pool(chosen);
    for (const auto how : {OnError::finish_all, OnError::fail_fast}) {
        const Pages out;
        auto on_heap = std::make_unique<std::vector<int>>(item_count);
        const auto function = [](int x) {
            while (x == 70) pause();
            return spin(x);
        };
        EXPECT_THROW(pool.map_into(function, numbers(), out.all(), {.chunksize = 3, .on_error = how}), rankpool::TaskTimeout);
        out.take_away();
        EXPECT_THROW(pool.map_into(function, numbers(), *on_heap, {.on_error = how}), rankpool::TaskTimeout);
        on_heap.reset();
        use(pool);
    }
}

TEST_P(CallerMemoryOfProcesses, IsLeftAloneAfterALoss) {
    Pool pool(options());
    for (const auto how : {OnError::finish_all, OnError::fail_fast})
        for (int round = 0; round < 5; ++round) {
            const Pages out;
            auto on_heap = std::make_unique<std::vector<int>>(item_count);
            const auto function = [](int x) {
                if (x % 1000 == 70) raise(SIGKILL);
                return spin(x);
            };
            EXPECT_THROW(pool.map_into(function, numbers(), out.all(), {.chunksize = 3, .on_error = how}), rankpool::WorkerLost);
            out.take_away();
            EXPECT_THROW(pool.map_into(function, numbers(), *on_heap, {.on_error = how}), rankpool::WorkerLost);
            on_heap.reset();
            use(pool);
        }
}

TEST_P(CallerMemoryOfProcesses, IsLeftAloneAfterThePoolBroke) {
    for (int round = 0; round < 5; ++round) {
        auto chosen = options();
        chosen.on_loss = rankpool::OnLoss::break_pool;
        const Pages out;
        Pool pool(chosen);
        EXPECT_THROW(pool.map_into([](int x) {
            if (x == 400) raise(SIGKILL);
            return spin(x);
        }, numbers(), out.all(), {.chunksize = 3}), rankpool::BrokenProcessPool);
        out.take_away();
        EXPECT_THROW(pool.map([](int x) { return x; }, numbers(10)), rankpool::BrokenProcessPool);
    }
}

}  // namespace
