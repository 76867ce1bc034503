#include "cluster/nodes.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "support/descendants.hpp"

namespace cluster {
namespace {

std::string whole_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string new_directory() {
    const char* shared = std::getenv("CLUSTER");
    if (shared == nullptr) throw std::runtime_error("these tests run inside of a cluster: tests/cluster/cluster.sh run");
    std::string name = std::string(shared) + "/test.XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + name);
    return name;
}

Words with_slots(int ranks) {
    std::string hosts;
    for (int node = 1; node <= nodes; ++node)
        hosts += (node > 1 ? ",node" : "node") + std::to_string(node) + ":" + std::to_string(ranks);
    return {hosts, "-n", std::to_string(ranks * nodes)};
}

}  // namespace

Words operator+(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

std::string told(const Words& words) {
    const auto result = subprocess::run(Words{"sh", RANKPOOL_TEST_CLUSTER_SCRIPT} + words);
    if (result.exit_code != 0) throw std::runtime_error("cluster.sh " + words.front() + ": " + result.err);
    return result.out;
}

Words processes_of_jobs() {
    Words all;
    for (int node = 1; node <= nodes; ++node) {
        const std::string name = "node" + std::to_string(node);
        std::istringstream lines(told({"processes", name}));
        for (std::string line; std::getline(lines, line);) all.push_back(name + ": " + line);
    }
    return all;
}

const Programs& programs() {
    static const Programs all{RANKPOOL_TEST_RANKRUN,   RANKPOOL_TEST_WORD_COUNT, RANKPOOL_TEST_SWEEP,
                              RANKPOOL_TEST_MONTE_CARLO, RANKPOOL_TEST_CPU_COUNT, RANKPOOL_TEST_WORKERS,
                              RANKPOOL_TEST_LONG_TASKS, RANKPOOL_TEST_CHECKPOINTED, RANKPOOL_TEST_IRIS,     RANKPOOL_TEST_BATCH_SCRIPTS};
    return all;
}

Words launchers() {
    Words names;
    for (const char* name : {"srun", "openmpi", "mpich"})
        if (!start(name, 1, {}).front().empty()) names.push_back(name);
    return names;
}

Words start(const std::string& launcher, int ranks, const Words& command) {
    // Without --kill-on-bad-exit srun lets the other ranks wait for one that was killed.
    if (launcher == "srun")
        return Words{*RANKPOOL_TEST_OPENMPI != '\0' ? "srun" : "", "--nodes=" + std::to_string(nodes),
                     "--ntasks=" + std::to_string(ranks * nodes), "--mpi=pmix", "--kill-on-bad-exit=1"} + command;
    if (launcher == "openmpi") return Words{RANKPOOL_TEST_OPENMPI, "--host"} + with_slots(ranks) + command;
    if (launcher == "mpich") return Words{RANKPOOL_TEST_MPICH, "-hosts"} + with_slots(ranks) + command;
    throw std::invalid_argument(launcher);
}

pid_t rank_zero_of(const std::string& program) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string process = entry.path().string();
        const pid_t pid = std::atoi(entry.path().filename().c_str());
        const std::string command = pid > 0 ? whole_file(process + "/cmdline") : "";
        if (command.substr(0, command.find('\0')) != program) continue;
        const std::string above = whole_file("/proc/" + std::to_string(descendants::status_of(pid).parent) + "/comm");
        if (above != "slurmstepd\n" && above != "orted\n" && above != "hydra_pmi_proxy\n") continue;
        const std::string environment = '\0' + whole_file(process + "/environ");
        for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
            if (environment.find('\0' + std::string(name) + "=0" + '\0') != std::string::npos) return pid;
    }
    throw std::runtime_error("there is no rank 0 of " + program);
}

OnCluster::OnCluster() : directory_(new_directory()) { std::filesystem::current_path(directory_); }

void OnCluster::TearDown() {
    EXPECT_TRUE(descendants::comes_true([] { return processes_of_jobs().empty(); })) << [] {
        std::string text = "left on the nodes:\n";
        for (const std::string& process : processes_of_jobs()) text += process + "\n";
        return text;
    }();
}

std::string OnCluster::script(const std::string& name, const std::string& body) const {
    std::ofstream(file(name)) << "#!/bin/sh\n" << body;
    std::filesystem::permissions(file(name), std::filesystem::perms::owner_all);
    return file(name);
}

std::string OnCluster::content(const std::string& path) { return whole_file(path); }

subprocess::Result OnCluster::run(const Words& command, subprocess::Options options) {
    const auto result = subprocess::run(command, options);
    EXPECT_FALSE(result.timed_out) << testing::PrintToString(command) << "\n" << result.out << result.err;
    EXPECT_EQ(result.left_behind, Words()) << testing::PrintToString(command);
    return result;
}

std::string OnCluster::output_of(const Words& command) {
    const auto result = run(command);
    EXPECT_EQ(result.exit_code, 0) << testing::PrintToString(command) << "\n" << result.out << result.err;
    return result.out;
}

}  // namespace cluster
