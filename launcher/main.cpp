// rankrun: starts a program as N ranks on this machine. See rankrun --help.
#include <cstdio>
#include <exception>

#include "front.hpp"
#include "options.hpp"
#include "os/standard_streams.hpp"

int main(int argc, char** argv) {
    int exit_code = -1;
    const rankrun::Options options = rankrun::parse(argc, argv, exit_code);
    if (exit_code >= 0) return exit_code;
    const std::string program = rankrun::find_program(options.command.front(), exit_code);
    if (exit_code >= 0) return exit_code;
    try {
        rankpool::os::occupy_standard_streams();
        return rankrun::run_job(options, program);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankrun: %s\n", error.what());
        return 1;
    }
}
