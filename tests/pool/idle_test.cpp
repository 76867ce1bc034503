// A pool that has nothing to do uses no CPU.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <thread>

#include "pool/backends.hpp"
#include "support/descendants.hpp"

namespace {

using namespace pool_test;
using namespace std::chrono_literals;
using rankpool::Pool;

class Idle : public OnBackend {};
ON_ALL_BACKENDS(Idle);

// User and system time of a process that /proc tells about, in seconds.
double cpu_seconds(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
    std::string field;
    double ticks = 0;
    for (int number = 3; number <= 15 && fields >> field; ++number)
        if (number >= 14) ticks += std::atof(field.c_str());
    return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

TEST_P(Idle, PoolsUseNoCpu) {
    constexpr auto interval = 2s;
    constexpr double most = 0.5;  // of 2 s for all of them together: one that spins would use all of its 2 s
    Pool pool(options());
    (void)pool.map([](int x) { return x; }, std::vector<int>(1000));
    pool.apply_async([] {}).wait();  // there is a service thread from here on
    auto begun = pool.imap([](int x) { return x; }, std::vector<int>(10'000));
    EXPECT_EQ(begun.next(), 0);
    auto last = pool.map_async([](int x) { return x; }, std::vector<int>(1000));
    last.wait();

    // This process, the workers, and what lies between them: fork servers, other ranks.
    std::set<pid_t> processes = descendants::of_this_process();
    processes.insert(getpid());
    for (const auto& worker : pool.workers()) {
        const pid_t parent = descendants::status_of(worker.pid).parent;
        for (const pid_t pid : {worker.pid, parent, descendants::status_of(parent).parent}) processes.insert(pid);
    }
    const auto used = [&] {
        double sum = 0;
        for (const pid_t pid : processes) sum += cpu_seconds(pid);
        return sum;
    };
    const double before = used();
    std::this_thread::sleep_for(interval);  // what is measured, no synchronisation
    EXPECT_LT(used() - before, most);
}

}  // namespace
