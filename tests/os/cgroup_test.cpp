#include "os/cgroup.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "support/temporary_directory.hpp"

using rankpool::os::cgroup_directories;
using rankpool::os::CgroupRoots;
using rankpool::os::cpu_quota;
using rankpool::os::memory_room;

namespace {

// A machine whose control groups are files of this test: /proc/self/cgroup, /proc/self/mountinfo and the hierarchies.
class CgroupTree : public testing::Test {
  protected:
    // What /proc/self/cgroup says, a line a call.
    void member(const std::string& line) { membership_ += line + '\n'; }

    // Mounts a hierarchy at `point` of the tree; `root` is the group that is seen there.
    void mount_v2(const std::string& point = "cgroup", const std::string& root = "/") {
        mount(root, point, "cgroup2", "rw,nsdelegate");
    }
    void mount_v1(const std::string& controllers, const std::string& point, const std::string& root = "/") {
        mount(root, point, "cgroup", "rw," + controllers);
    }
    void mount(const std::string& root, const std::string& point, const std::string& type, const std::string& options) {
        mounts_ += "36 25 0:31 " + root + " " + in_tree(point) + " rw,nosuid,nodev shared:9 - " + type + " " + type +
                   " " + options + "\n";
    }

    void file(const std::string& name, const std::string& text) { tree_.write(name, text); }
    std::string in_tree(const std::string& name) const { return (tree_.path() / name).string(); }

    std::optional<double> quota() const { return quota(roots()); }
    static std::optional<double> quota(const CgroupRoots& where) {
        const auto found = cpu_quota(where);
        return found ? std::optional(found->cpus) : std::nullopt;
    }

    CgroupRoots roots() const {
        return {tree_.write("proc/cgroup", membership_),
                tree_.write("proc/mountinfo",
                            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n25 22 0:23 / /sys rw - sysfs sysfs rw\n" + mounts_)};
    }
    std::vector<std::string> directories(const std::string& controller) const {
        std::vector<std::string> paths;
        for (const auto& directory : cgroup_directories(controller, roots()))
            paths.push_back(directory.path + " v" + std::to_string(directory.version));
        return paths;
    }

  private:
    TemporaryDirectory tree_;
    std::string membership_, mounts_;
};

// ---- where to look ----

TEST_F(CgroupTree, DirectoriesAreTheGroupAndItsAncestorsInnermostFirst) {
    member("0::/user.slice/session.scope/job");
    mount_v2();
    const std::vector<std::string> expected{in_tree("cgroup/user.slice/session.scope/job") + " v2",
                                            in_tree("cgroup/user.slice/session.scope") + " v2",
                                            in_tree("cgroup/user.slice") + " v2", in_tree("cgroup") + " v2"};
    EXPECT_EQ(directories("cpu"), expected);
    EXPECT_EQ(directories("memory"), expected);
}

TEST_F(CgroupTree, TheRootGroupIsOneDirectory) {
    member("0::/");
    mount_v2();
    EXPECT_EQ(directories("cpu"), std::vector<std::string>{in_tree("cgroup") + " v2"});
}

TEST_F(CgroupTree, OfVersionOneTheHierarchyOfTheControllerIsTaken) {
    member("12:memory:/jobs/m");
    member("4:cpu,cpuacct:/jobs/c");
    member("3:cpuset:/sets");
    mount_v1("cpuset", "cpuset");
    mount_v1("cpu,cpuacct", "cpu,cpuacct");
    mount_v1("memory", "memory");
    EXPECT_EQ(directories("cpu"),
              (std::vector<std::string>{in_tree("cpu,cpuacct/jobs/c") + " v1", in_tree("cpu,cpuacct/jobs") + " v1",
                                        in_tree("cpu,cpuacct") + " v1"}));
    EXPECT_EQ(directories("memory"),
              (std::vector<std::string>{in_tree("memory/jobs/m") + " v1", in_tree("memory/jobs") + " v1",
                                        in_tree("memory") + " v1"}));
}

TEST_F(CgroupTree, ANamedHierarchyIsNoController) {
    member("1:name=systemd:/init.scope");
    mount_v1("name=systemd", "systemd");
    EXPECT_TRUE(directories("cpu").empty());
    EXPECT_TRUE(directories("systemd").empty());
}

TEST_F(CgroupTree, InAContainerThePathIsTakenFromTheMountedGroup) {
    member("4:cpu:/docker/abc/inner");
    member("0::/docker/abc");
    mount_v1("cpu", "cpu", "/docker/abc");
    mount_v2("unified", "/docker/abc");
    EXPECT_EQ(directories("cpu"), (std::vector<std::string>{in_tree("cpu/inner") + " v1", in_tree("cpu") + " v1",
                                                            in_tree("unified") + " v2"}));
}

TEST_F(CgroupTree, AGroupWhoseNameOnlyBeginsLikeTheMountedOneIsNotInsideOfIt) {
    member("4:cpu:/docker/abcdef");
    mount_v1("cpu", "cpu", "/docker/abc");
    EXPECT_EQ(directories("cpu"), std::vector<std::string>{in_tree("cpu") + " v1"});
}

TEST_F(CgroupTree, AGroupOutsideOfTheMountedOneIsLookedForAtTheMount) {
    member("0::/../other");  // what a process sees that was moved out of its namespace
    mount_v2();
    EXPECT_EQ(directories("cpu"), std::vector<std::string>{in_tree("cgroup") + " v2"});
}

// ---- CPUs ----

TEST_F(CgroupTree, WithoutAnyGroupsThereIsNoQuota) {
    EXPECT_EQ(quota(), std::nullopt);
    EXPECT_EQ(memory_room(roots()), std::nullopt);
}

TEST_F(CgroupTree, WithoutFilesInProcThereIsNoQuota) {
    EXPECT_EQ(quota({"/nowhere/cgroup", "/nowhere/mountinfo"}), std::nullopt);
    EXPECT_EQ(memory_room({"/nowhere/cgroup", "/nowhere/mountinfo"}), std::nullopt);
}

TEST_F(CgroupTree, AGroupWithoutAMountHasNoQuota) {
    member("0::/job");
    member("4:cpu:/job");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CgroupTree, AGroupWithoutItsFilesHasNoQuota) {
    member("0::/job");
    mount_v2();
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CgroupTree, TheQuotaIsTimeByPeriod) {
    member("0::/job");
    mount_v2();
    file("cgroup/job/cpu.max", "150000 100000\n");
    EXPECT_EQ(quota(), 1.5);
}

TEST_F(CgroupTree, MaxIsNoQuota) {
    member("0::/job");
    mount_v2();
    file("cgroup/job/cpu.max", "max 100000\n");
    EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CgroupTree, TheTightestQuotaOfAllAncestorsCounts) {
    member("0::/outer/middle/inner");
    mount_v2();
    file("cgroup/outer/middle/inner/cpu.max", "800000 100000\n");
    file("cgroup/outer/middle/cpu.max", "50000 20000\n");
    file("cgroup/outer/cpu.max", "max 100000\n");
    EXPECT_EQ(quota(), 2.5);
    file("cgroup/outer/cpu.max", "25000 100000\n");
    EXPECT_EQ(quota(), 0.25);
    file("cgroup/outer/middle/inner/cpu.max", "10000 100000\n");
    EXPECT_EQ(quota(), 0.1);
}

TEST_F(CgroupTree, AQuotaNamesTheGroupThatAllWhoShareItAreIn) {
    member("0::/job/rank");
    mount_v2();
    file("cgroup/job/cpu.max", "200000 100000\n");
    EXPECT_EQ(cpu_quota(roots())->set_by, in_tree("cgroup/job"));
    file("cgroup/job/rank/cpu.max", "300000 100000\n");
    EXPECT_EQ(cpu_quota(roots())->set_by, in_tree("cgroup/job"));
    file("cgroup/job/rank/cpu.max", "100000 50000\n");
    EXPECT_EQ(cpu_quota(roots())->set_by, in_tree("cgroup/job")) << "the same twice";
    file("cgroup/job/rank/cpu.max", "100000 100000\n");
    EXPECT_EQ(cpu_quota(roots())->set_by, in_tree("cgroup/job/rank"));
}

TEST_F(CgroupTree, AQuotaAtTheMountItselfCounts) {
    member("0::/");
    mount_v2();
    file("cgroup/cpu.max", "300000 100000\n");
    EXPECT_EQ(quota(), 3.0);
}

TEST_F(CgroupTree, VersionOneHasTwoFiles) {
    member("4:cpu,cpuacct:/jobs/a");
    mount_v1("cpu,cpuacct", "cpu");
    file("cpu/jobs/a/cpu.cfs_quota_us", "-1\n");
    file("cpu/jobs/a/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(quota(), std::nullopt);
    file("cpu/jobs/cpu.cfs_quota_us", "350000\n");
    file("cpu/jobs/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(quota(), 3.5);
    file("cpu/jobs/a/cpu.cfs_quota_us", "50000\n");
    EXPECT_EQ(quota(), 0.5);
}

TEST_F(CgroupTree, OfBothVersionsTheTighterQuotaCounts) {
    member("4:cpu:/a");
    member("0::/b");
    mount_v1("cpu", "cpu");
    mount_v2("unified");
    file("cpu/a/cpu.cfs_quota_us", "200000\n");
    file("cpu/a/cpu.cfs_period_us", "100000\n");
    file("unified/b/cpu.max", "400000 100000\n");
    EXPECT_EQ(quota(), 2.0);
    file("unified/b/cpu.max", "100000 100000\n");
    EXPECT_EQ(quota(), 1.0);
}

TEST_F(CgroupTree, QuotasInsideOfAContainerAreFound) {
    member("0::/kubepods/pod1/container1");
    mount_v2("cgroup", "/kubepods/pod1/container1");
    file("cgroup/cpu.max", "120000 100000\n");
    EXPECT_EQ(quota(), 1.2);
}

TEST_F(CgroupTree, RubbishIsNoQuota) {
    member("0::/job");
    mount_v2();
    for (const char* text : {"", "\n", "rubbish", "rubbish 100000", "100000", "100000 rubbish", "0 100000", "-5 100000",
                             "100000 0", "100000 -1", "inf 100000", "nan 100000", "0x 100000", "max", "\xff\xfe"}) {
        file("cgroup/job/cpu.max", text);
        EXPECT_EQ(quota(), std::nullopt) << '"' << text << '"';
    }
}

TEST_F(CgroupTree, RubbishInProcIsPassedOver) {
    member("");
    member("rubbish");
    member(":");
    member("::");
    member("0::/job");
    mount("", "", "", "");
    mount_v2();
    file("cgroup/job/cpu.max", "150000 100000\n");
    EXPECT_EQ(quota(), 1.5);
}

// ---- memory ----

TEST_F(CgroupTree, MemoryRoomIsTheLimitWithoutWhatIsUsed) {
    member("0::/job");
    mount_v2();
    file("cgroup/job/memory.max", "1000000\n");
    file("cgroup/job/memory.current", "400000\n");
    EXPECT_EQ(memory_room(roots()), std::size_t{600000});
}

TEST_F(CgroupTree, TheTightestRoomOfAllAncestorsCounts) {
    member("0::/outer/inner");
    mount_v2();
    file("cgroup/outer/inner/memory.max", "1000000\n");
    file("cgroup/outer/inner/memory.current", "0\n");
    file("cgroup/outer/memory.max", "5000000\n");
    file("cgroup/outer/memory.current", "4900000\n");
    EXPECT_EQ(memory_room(roots()), std::size_t{100000});
}

TEST_F(CgroupTree, AGroupOverItsLimitHasNoRoom) {
    member("0::/job");
    mount_v2();
    file("cgroup/job/memory.max", "1000\n");
    file("cgroup/job/memory.current", "2000\n");
    EXPECT_EQ(memory_room(roots()), std::size_t{0});
}

TEST_F(CgroupTree, MemoryWithoutALimitHasNoBound) {
    member("0::/job");
    member("12:memory:/job");
    mount_v2();
    mount_v1("memory", "memory");
    file("cgroup/job/memory.max", "max\n");
    file("cgroup/job/memory.current", "2000\n");
    file("memory/job/memory.limit_in_bytes", "9223372036854771712\n");  // version 1's word for none
    file("memory/job/memory.usage_in_bytes", "2000\n");
    EXPECT_EQ(memory_room(roots()), std::nullopt);
}

TEST_F(CgroupTree, VersionOneMemoryCounts) {
    member("12:memory:/job");
    mount_v1("memory", "memory");
    file("memory/job/memory.limit_in_bytes", "3000\n");
    file("memory/job/memory.usage_in_bytes", "1000\n");
    EXPECT_EQ(memory_room(roots()), std::size_t{2000});
}

TEST_F(CgroupTree, RubbishIsNoMemoryLimit) {
    member("0::/job");
    mount_v2();
    file("cgroup/job/memory.current", "1000\n");
    for (const char* text : {"", "rubbish", "max", "\xff", "-"}) {
        file("cgroup/job/memory.max", text);
        EXPECT_EQ(memory_room(roots()), std::nullopt) << '"' << text << '"';
    }
    file("cgroup/job/memory.max", "5000\n");
    file("cgroup/job/memory.current", "rubbish\n");
    EXPECT_EQ(memory_room(roots()), std::nullopt);
}

// ---- this machine ----

TEST(Cgroups, OfThisMachineAreReadWithoutAnError) {
    const auto quota = cpu_quota();
    EXPECT_TRUE(!quota || quota->cpus > 0);
    EXPECT_NO_THROW(memory_room());
}

// ---- memory that ran out ----

TEST_F(CgroupTree, KillsForWantOfMemoryAreThoseOfTheInnermostGroup) {
    member("0::/a/b");
    mount_v2();
    file("cgroup/a/memory.max", "2097152\n");
    file("cgroup/a/memory.events", "low 0\noom 9\noom_kill 9\n");
    file("cgroup/a/memory.peak", "2000000\n");
    file("cgroup/a/b/memory.max", "max\n");
    file("cgroup/a/b/memory.events", "low 0\nhigh 0\nmax 5\noom 3\noom_kill 2\n");
    const auto pressure = rankpool::os::memory_pressure(roots());
    EXPECT_EQ(pressure.kills, 2u);
    EXPECT_EQ(pressure.limit, 2097152u);
    EXPECT_EQ(pressure.limited_by, in_tree("cgroup/a"));
    EXPECT_EQ(pressure.peak, 2000000u);
}

TEST_F(CgroupTree, KillsForWantOfMemoryInVersionOne) {
    member("4:memory:/job");
    mount_v1("memory", "memory");
    file("memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    file("memory/job/memory.limit_in_bytes", "1048576\n");
    file("memory/job/memory.max_usage_in_bytes", "1048000\n");
    file("memory/memory.limit_in_bytes", "9223372036854771712\n");
    const auto pressure = rankpool::os::memory_pressure(roots());
    EXPECT_EQ(pressure.kills, 3u);
    EXPECT_EQ(pressure.limit, 1048576u);
    EXPECT_EQ(pressure.peak, 1048000u);
}

TEST_F(CgroupTree, KillsForWantOfMemoryOfTheMachineWhereNoGroupTells) {
    auto where = roots();
    file("vmstat", "nr_free_pages 5\noom_kill 7\n");
    where.machine_events = in_tree("vmstat");
    const auto pressure = rankpool::os::memory_pressure(where);
    EXPECT_EQ(pressure.kills, 7u);
    EXPECT_FALSE(pressure.limit);
}

}  // namespace
