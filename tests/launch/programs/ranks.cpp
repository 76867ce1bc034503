// SPMD: "rank r of n" from every rank.
//
//     ranks                          that is all
//     ranks system COMMAND           rank 0 also runs a command with system(), once all are there
//     ranks inherit PROGRAM          rank 0 also starts a program with the environment that it was started with itself
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

int start_with(std::vector<std::string> environment, const char* program) {
    std::vector<char*> variables;
    for (std::string& variable : environment) variables.push_back(variable.data());
    variables.push_back(nullptr);
    std::string name = program;
    char* arguments[] = {name.data(), nullptr};
    pid_t pid = 0;
    int status = -1;
    if (posix_spawn(&pid, program, nullptr, nullptr, arguments, variables.data()) != 0) return 1;
    waitpid(pid, &status, 0);
    return status == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        std::printf("rank %d of %d" RANKS_MARK "\n", world.rank(), world.size());
        std::fflush(stdout);
        world.barrier();
        int result = 0;
        if (world.rank() == 0 && argc > 2 && std::string(argv[1]) == "system")
            result = std::system(argv[2]) == 0 ? 0 : 1;
        if (world.rank() == 0 && argc > 2 && std::string(argv[1]) == "inherit")
            result = start_with(environment, argv[2]);
        world.barrier();
        return result;
    });
}
