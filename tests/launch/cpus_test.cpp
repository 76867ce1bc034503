#include <rankpool/cpus.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "os/cgroup.hpp"

using rankpool::cpu_count;
using rankpool::process_cpu_count;

namespace {

// RANKPOOL_CPU_COUNT while it lives; nullptr: unset.
class Override {
  public:
    explicit Override(const char* value) {
        if (const char* before = std::getenv(name)) before_ = before;
        set(value);
    }
    ~Override() { set(before_ ? before_->c_str() : nullptr); }
    Override(const Override&) = delete;
    Override& operator=(const Override&) = delete;

  private:
    static constexpr const char* name = "RANKPOOL_CPU_COUNT";
    static void set(const char* value) {
        if (value != nullptr)
            setenv(name, value, 1);
        else
            unsetenv(name);
    }
    std::optional<std::string> before_;
};

// The affinity mask of this thread, restored afterwards.
class Affinity {
  public:
    Affinity() { EXPECT_EQ(sched_getaffinity(0, sizeof before_, &before_), 0); }
    ~Affinity() { sched_setaffinity(0, sizeof before_, &before_); }
    Affinity(const Affinity&) = delete;
    Affinity& operator=(const Affinity&) = delete;

    int count() const { return CPU_COUNT(&before_); }
    // Leaves the first `count` CPUs of the mask.
    void narrow(int count) {
        cpu_set_t narrowed;
        CPU_ZERO(&narrowed);
        for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&narrowed) < count; ++cpu)
            if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &narrowed);
        ASSERT_EQ(sched_setaffinity(0, sizeof narrowed, &narrowed), 0);
    }

  private:
    cpu_set_t before_;
};

TEST(CpuCount, IsThatOfTheMachine) {
    EXPECT_EQ(cpu_count(), static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
    EXPECT_GE(cpu_count(), 1);
}

TEST(CpuCount, IsNotWhatTheEnvironmentSays) {
    const Override environment("77");
    EXPECT_EQ(cpu_count(), static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

TEST(ProcessCpuCount, IsTheAffinityMaskCutByTheQuota) {
    const Override environment(nullptr);
    const Affinity affinity;
    int expected = affinity.count();
    if (const auto quota = rankpool::os::cpu_quota())
        expected = std::clamp(static_cast<int>(std::ceil(quota->cpus)), 1, expected);
    EXPECT_EQ(process_cpu_count(), expected);
}

TEST(ProcessCpuCount, FollowsTheAffinityMask) {
    const Override environment(nullptr);
    Affinity affinity;
    const int before = process_cpu_count();
    for (int count = 1; count <= affinity.count(); ++count) {
        affinity.narrow(count);
        EXPECT_EQ(process_cpu_count(), std::min(count, before));
    }
}

TEST(ProcessCpuCount, TheEnvironmentOverridesTheMask) {
    Affinity affinity;
    affinity.narrow(1);
    for (const int count : {1, 3, 64, 100000}) {
        const Override environment(std::to_string(count).c_str());
        EXPECT_EQ(process_cpu_count(), count);
    }
}

TEST(ProcessCpuCount, RubbishInTheEnvironmentIsRefusedByItsValue) {
    for (const char* value :
         {"", "0", "-1", "-0", "rubbish", "4x", "x4", " 4", "4 ", "+4", "1.5", "0x4", "1e3", "99999999999", "max"}) {
        const Override environment(value);
        try {
            const int count = process_cpu_count();
            ADD_FAILURE() << '"' << value << "\" was taken for " << count;
        } catch (const std::invalid_argument& error) {
            const std::string text = error.what();
            EXPECT_NE(text.find("RANKPOOL_CPU_COUNT"), std::string::npos) << text;
            EXPECT_NE(text.find('"' + std::string(value) + '"'), std::string::npos) << text;
        }
    }
}

}  // namespace
