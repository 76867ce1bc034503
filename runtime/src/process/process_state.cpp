#include "process/process_state.hpp"

#include <fstream>
#include <string>

namespace rankpool::process {

bool is_stopped(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    // The state follows the name, which may hold anything, brackets too.
    const auto name_end = text.rfind(") ");
    return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == 'T';
}

}  // namespace rankpool::process
