#include "program_search.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace rankrun {
namespace {

bool is_file(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

bool is_directory(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// Looks for an executable; remembers a file that is none, which is what the user has to be told about.
struct Search {
    std::string not_executable = {};

    bool fits(const std::string& path) {
        if (!is_file(path)) return false;
        if (access(path.c_str(), X_OK) == 0) return true;
        not_executable = path;
        return false;
    }

    std::string in_path(const std::string& name) {
        const char* path = std::getenv("PATH");
        std::istringstream directories(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
        for (std::string directory; std::getline(directories, directory, ':');) {
            std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
            if (fits(candidate)) return candidate;
        }
        return {};
    }
};

}  // namespace

std::string find_in_path(const std::string& name) { return Search().in_path(name); }

std::string find_program(const Program& program) {
    const std::string& name = program.command.front();
    if (!program.directory.empty() && !is_directory(program.directory))
        throw Refusal("--wdir " + program.directory +
                      (is_file(program.directory) ? ": that is no directory" : ": there is no such directory"));
    Search search;
    std::string file;
    if (name.find('/') == std::string::npos) {
        file = search.in_path(name);
        // The program starts elsewhere: a relative way to it must not depend on where.
        if (!file.empty() && !program.directory.empty()) file = std::filesystem::absolute(file).string();
    } else {
        // Relative to the directory in which it starts, as after a cd and as mpirun does.
        const std::string there = (std::filesystem::path(program.directory) / name).string();
        if (search.fits(there)) file = name;
        if (is_directory(there)) search.not_executable = there;
    }
    if (!file.empty()) return file;
    const std::string& found = search.not_executable;
    if (!found.empty())
        throw Refusal(found + " is " + (is_directory(found) ? "a directory" : "not executable"), exit_not_executable);
    if (name.find('/') == std::string::npos && is_file(name))
        throw Refusal(name + ": no such program in PATH; did you mean ./" + name + "?", exit_not_found);
    if (!program.directory.empty() && name.find('/') != std::string::npos && is_file(name))
        throw Refusal(
            name + ": no such program in " + program.directory + ", where --wdir starts it; give its whole path",
            exit_not_found);
    throw Refusal(name + ": no such program", exit_not_found);
}

}  // namespace rankrun
