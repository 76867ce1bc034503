// How much memory a map takes, of the process and its workers together: the sum of what each has of its pages (Pss).
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include "pool/backends.hpp"
#include "support/descendants.hpp"

namespace {

using namespace pool_test;
using rankpool::Pool;

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr std::size_t bytes = 256 * mebibyte;  // of the input, and of the output

std::size_t pss_of(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
    for (std::string word; in >> word;)
        if (std::size_t kibibytes = 0; word == "Pss:" && in >> kibibytes) return kibibytes << 10;
    return 0;
}

/// Looks again and again, as long as it lives.
class Peak {
  public:
    explicit Peak(std::set<pid_t> processes) : processes_(std::move(processes)), watching_([this] { watch(); }) {}
    ~Peak() { stop(); }
    std::size_t stop() {
        over_ = true;
        if (watching_.joinable()) watching_.join();
        return peak_;
    }

  private:
    void watch() {
        do {
            std::size_t sum = 0;
            for (const pid_t pid : processes_) sum += pss_of(pid);
            peak_ = std::max(peak_, sum);
        } while (!over_);
    }

    std::set<pid_t> processes_;
    std::size_t peak_ = 0;
    std::atomic<bool> over_{false};
    std::thread watching_;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // with memory of their own
#else
constexpr bool sanitized = false;
#endif

class Memory : public OnBackend {};
ON_PROCESSES(Memory);

// The bound of the documentation, here as everywhere: input, output, 64 MiB; one more output where that is private.
TEST_P(Memory, OfAMapIsBounded) {
    if (sanitized || ranks() > 0 || std::getenv("RANKPOOL_TEST_LARGE") == nullptr) return;
    const auto half = [](double x) { return x / 2; };
    malloc_trim(0);  // what other tests of this process left to the allocator is none of this map's
    const std::size_t before = pss_of(getpid()) / mebibyte;
    Pool pool(options());
    const auto processes = [&] {
        std::set<pid_t> all = descendants::of_this_process();
        all.insert(getpid());
        return all;
    };
    {
        rankpool::shared_vector<double> in(bytes / sizeof(double)), out(in.size());
        std::iota(in.begin(), in.end(), 0.0);
        Peak peak(processes());
        pool.map_into(half, in, out);
        EXPECT_LE(peak.stop() / mebibyte, before + (2 * bytes) / mebibyte + 64);
        EXPECT_EQ(out.back(), in.back() / 2);
    }
    std::vector<double> in(bytes / sizeof(double));
    std::iota(in.begin(), in.end(), 0.0);
    Peak peak(processes());
    const std::vector<double> out = pool.map(half, in);
    EXPECT_LE(peak.stop() / mebibyte, before + (3 * bytes) / mebibyte + 64);
    EXPECT_EQ(out.back(), in.back() / 2);
}

}  // namespace
