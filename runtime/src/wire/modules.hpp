// The modules (program, shared libraries, plugins) that this process has loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rankpool::wire {

struct Segment {
    std::uintptr_t begin = 0, end = 0;
    bool executable = false;
    bool readable = false;
};

struct Module {
    std::string name;  // as the loader knows it; empty for the program itself
    std::uintptr_t base = 0;
    std::vector<Segment> segments;
    std::string build_id;  // hex; empty without a note

    bool contains(std::uintptr_t address) const;
};

/// All modules, the program first.
std::vector<Module> loaded_modules();

/// The module's GNU build-id, or a hash of its executable segments.
std::string identity(const Module& module);

/// Absolute path of the file that is mapped at `address`; empty when none is.
std::string mapped_file(std::uintptr_t address);

}  // namespace rankpool::wire
