// Who this process is among those that the fork servers made: its name, and who wanted it.
//
// A child is told by start_child(); in a program that nobody made the defaults hold.
#pragma once

#include <optional>
#include <string>

#include <rankpool/process_info.hpp>

namespace rankpool::process {

struct Identity {
    std::string name = "MainProcess";
    bool daemon = false;
    std::string lineage;                 // "1:2" is the second process of the first one; empty in the program itself
    std::optional<ProcessInfo> creator;  // empty in the program itself
};

Identity& identity();

}  // namespace rankpool::process
