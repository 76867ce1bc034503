#include "launch/launches.hpp"

#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace launches {
namespace {

struct Mpi {
    std::string name, command;
};

// RANKPOOL_TEST_MPIS: "name=command,name=command".
std::vector<Mpi> known_mpis() {
    std::vector<Mpi> found;
    std::istringstream in(RANKPOOL_TEST_MPIS);
    for (std::string entry; std::getline(in, entry, ',');)
        if (const auto equals = entry.find('='); equals != std::string::npos)
            found.push_back({entry.substr(0, equals), entry.substr(equals + 1)});
    return found;
}

struct Status {
    std::string name;
    pid_t parent = 0;
    char state = '-';
};

Status status_of(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    const auto open = text.find('('), close = text.rfind(')');
    if (close == std::string::npos) return {};
    Status status{text.substr(open + 1, close - open - 1)};
    std::istringstream fields(text.substr(close + 1));
    fields >> status.state >> status.parent;
    return status;
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> found;
    DIR* processes = opendir("/proc");
    while (const dirent* entry = processes != nullptr ? readdir(processes) : nullptr)
        if (const pid_t pid = std::atoi(entry->d_name); pid > 0 && status_of(pid).parent == parent)
            found.push_back(pid);
    if (processes != nullptr) closedir(processes);
    return found;
}

// From the environment that a process was started with.
std::optional<int> number_of_rank(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
    for (std::string each; std::getline(in, each, '\0');)
        for (const std::string variable : {"RANK=", "OMPI_COMM_WORLD_RANK=", "PMI_RANK="})
            if (each.compare(0, variable.size(), variable) == 0) return std::atoi(each.c_str() + variable.size());
    return std::nullopt;
}

pid_t found(const std::function<pid_t()>& look) {
    pid_t pid = 0;
    if (!comes_true([&] { return (pid = look()) > 0; }))
        throw std::runtime_error("a process that should be there is not");
    return pid;
}

}  // namespace

Words mpis() {
    Words names;
    for (const Mpi& mpi : known_mpis()) names.push_back(mpi.name);
    return names;
}

Words rankrun_and_mpis() {
    Words names = mpis();
    names.insert(names.begin(), "rankrun");
    return names;
}

Words all() {
    Words names = rankrun_and_mpis();
    names.insert(names.begin(), "alone");
    return names;
}

Words start(const std::string& launcher, int ranks, const Words& command) {
    if (launcher == "alone") return command;
    std::string program = programs().rankrun;
    for (const Mpi& mpi : known_mpis())
        if (mpi.name == launcher) program = mpi.command;
    Words words{program, "-n", std::to_string(ranks)};
    words.insert(words.end(), command.begin(), command.end());
    return words;
}

subprocess::Result rankrun(Words words, const subprocess::Options& options) {
    words.insert(words.begin(), programs().rankrun);
    subprocess::Result result = subprocess::run(words, options);
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.left_behind, Words());
    return result;
}

void expect_one_line(const subprocess::Result& result, const std::string& beginning, const std::string& word) {
    const auto lines = lines_from(result.err, beginning);
    ASSERT_EQ(lines.size(), 1u) << result.err;
    EXPECT_NE(lines.front().find(word), std::string::npos) << lines.front();
}

int ranks_under(const std::string& launcher, int ranks) { return launcher == "alone" ? 1 : ranks; }

const Programs& programs() {
    static const Programs all{RANKPOOL_TEST_RANKRUN, RANKPOOL_TEST_RANKS,     RANKPOOL_TEST_RANKS_OTHER_BUILD,
                              RANKPOOL_TEST_WORKERS, RANKPOOL_TEST_ENDINGS,   RANKPOOL_TEST_SIGNALS,
                              RANKPOOL_TEST_STREAMS, RANKPOOL_TEST_LONG_TASKS};
    return all;
}

std::string ScriptDirectory::script(const std::string& name, const std::string& body) const {
    const std::string file = write(name, "#!/bin/sh\n" + body);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file;
}

Words sorted_lines(const std::string& text) {
    Words lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (!line.empty()) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
}

Words lines_from(const std::string& text, std::string_view beginning) {
    Words lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (line.compare(0, beginning.size(), beginning) == 0) lines.push_back(line);
    return lines;
}

Words all_ranks(int n) {
    Words lines;
    for (int rank = 0; rank < n; ++rank) lines.push_back("rank " + std::to_string(rank) + " of " + std::to_string(n));
    std::sort(lines.begin(), lines.end());
    return lines;
}

pid_t child_of(pid_t parent, const std::string& name) {
    return found([&]() -> pid_t {
        for (const pid_t child : children_of(parent))
            if (status_of(child).name == name) return child;
        return 0;
    });
}

pid_t minder_of(pid_t rankrun) { return child_of(rankrun, "rank-minder"); }

pid_t rank_of(pid_t launcher, int rank) {
    return found([&]() -> pid_t {
        std::vector<pid_t> below{launcher};
        for (std::size_t i = 0; i < below.size(); ++i)  // grows
            for (const pid_t child : children_of(below[i])) {
                // A fork server is its launcher's child too, and has its rank's environment.
                if (number_of_rank(child) == rank && !number_of_rank(below[i]) &&
                    status_of(child).name != "rankpool-server")
                    return child;
                below.push_back(child);
            }
        return 0;
    });
}

void send(pid_t process, int signal) {
    if (process <= 1 || kill(process, signal) != 0) throw std::runtime_error("no process to send a signal to");
}

char state_of(pid_t pid) { return status_of(pid).state; }

bool comes_true(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        poll(nullptr, 0, 1);
    }
    return true;
}

Bell::Bell(const std::string& path) {
    // Read and write: it never reports an end, and ringing never waits for somebody to listen.
    if (mkfifo(path.c_str(), 0600) != 0 || (fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)) < 0)
        throw std::runtime_error("mkfifo " + path + " failed");
}

Bell::~Bell() { close(fd_); }

bool Bell::heard() {
    pollfd event{fd_, POLLIN, 0};
    char ring;
    return poll(&event, 1, 20'000) == 1 && read(fd_, &ring, 1) == 1;
}

}  // namespace launches
