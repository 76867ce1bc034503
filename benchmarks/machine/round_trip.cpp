// What bounds every latency between processes: the time for a cache line from one CPU to another and back, in nanoseconds.
#include <atomic>
#include <cstdio>
#include <thread>

#include "repetitions.hpp"

namespace {

struct alignas(128) Line {
    std::atomic<int> word{0};
};

constexpr int warm_up = 100'000, measured = 500'000;  // until both threads have a CPU of their own; then

double round_trip() {
    Line there, back;
    std::thread other([&] {
        for (int i = 1; i <= warm_up + measured; ++i) {
            while (there.word.load(std::memory_order_acquire) != i) {
            }
            back.word.store(i, std::memory_order_release);
        }
    });
    auto start = bench::Clock::now();
    for (int i = 1; i <= warm_up + measured; ++i) {
        if (i == warm_up) start = bench::Clock::now();
        there.word.store(i, std::memory_order_release);
        while (back.word.load(std::memory_order_acquire) != i) {
        }
    }
    const double taken = bench::nanoseconds_since(start);
    other.join();
    return taken / measured;
}

}  // namespace

int main() { std::printf("%.1f\n", round_trip()); }
