// What bounds every latency between processes: the time for a cache line from one CPU to another and back, in nanoseconds.
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "repetitions.hpp"

namespace {

struct alignas(128) Line {
    std::atomic<int> word{0};
};

double round_trip(int count) {
    Line there, back;
    std::thread other([&] {
        for (int i = 1; i <= count; ++i) {
            while (there.word.load(std::memory_order_acquire) != i) {
            }
            back.word.store(i, std::memory_order_release);
        }
    });
    const auto start = bench::Clock::now();
    for (int i = 1; i <= count; ++i) {
        there.word.store(i, std::memory_order_release);
        while (back.word.load(std::memory_order_acquire) != i) {
        }
    }
    const double taken = bench::nanoseconds_since(start);
    other.join();
    return taken / count;
}

}  // namespace

int main() {
    std::vector<double> times;
    for (int i = 0; i < 9; ++i) times.push_back(round_trip(10'000));
    std::printf("%.1f\n", bench::median(times));
}
