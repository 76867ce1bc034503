// What a child process is to be: its surroundings and its work, in a form that can be sent to the fork server.
//
// The description travels as bytes in a memfd, the descriptors beside it; see fork_server.hpp for the way they take.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os/unique_fd.hpp"

namespace rankpool::process {

/// The surroundings a child takes over from the process that wants it, as they are at that moment.
struct Surroundings {
    std::vector<std::string> environment;  // NAME=value; without the launcher's variables and our own
    std::string working_directory;
    mode_t umask = 022;
    std::vector<std::uint64_t> affinity;  // bit mask of CPUs

    static Surroundings here();
};

/// The calling thread's CPUs, as a bit mask.
std::vector<std::uint64_t> current_affinity();

/// What the calling thread's children inherit and nobody can give them later: the CPUs and memory nodes that its cgroups leave
/// it, and its memory policy. For comparison only.
std::string confines();

/// What a child does. Called in the child, once its surroundings are set; its return value is the exit code.
using Work = int (*)(std::span<const std::byte> description, std::vector<os::UniqueFd> descriptors);

/// The kinds of children there are; the number is what travels.
enum class Kind : std::uint32_t { pool_worker = 0, process = 1 };
inline constexpr std::size_t kinds = 2;

/// The work for each kind: given to the fork server when it starts, so that this room need not know what it is.
using Works = Work[kinds];

/// What the child will know of itself; see identity.hpp. Who its creator is, the fork server's side adds.
struct Self {
    std::string name;
    bool daemon = false;
    std::string lineage;
};

struct ChildSpec {
    Kind kind = Kind::pool_worker;
    Self self;
    Surroundings surroundings;
    std::vector<std::byte> description;
    std::vector<int> descriptors;  // handed to the work, in this order; borrowed
};

/// The environment variables by which launchers, and we, tell a process that it is a rank: nobody else's business.
bool is_launcher_variable(std::string_view name);

}  // namespace rankpool::process
