#include "process/exec_self.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include "os/failure.hpp"
#include "os/socket.hpp"
#include "process/child_start.hpp"
#include "process/server_loop.hpp"
#include "process/works.hpp"
#include <rankpool/error.hpp>

namespace rankpool::process {
namespace {

constexpr const char* token_name = "RANKPOOL_CHILD";
bool hooked = false;
Works registered_works{};

// This library's own directory holds the helper program for hosts whose start we do not see (an interpreter).
std::string helper_program() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<void*>(&helper_program), &info) == 0 || info.dli_fname == nullptr) return {};
    const std::string library(info.dli_fname);
    const std::string directory = library.substr(0, library.rfind('/'));
    for (const char* place : {"/../libexec/rankpool/rankpool-host", "/../../libexec/rankpool/rankpool-host",
                              "/../bin/rankpool-host", "/rankpool-host"})
        if (access((directory + place).c_str(), X_OK) == 0) return directory + place;
    return {};
}

std::vector<std::string> own_arguments() {
    std::vector<std::string> arguments;
    std::ifstream in("/proc/self/cmdline", std::ios::binary);
    for (std::string argument; std::getline(in, argument, '\0');) arguments.push_back(argument);
    return arguments;
}

}  // namespace

bool program_start_hooked() { return hooked; }
void set_program_start_hooked() { hooked = true; }
const Works& program_works() { return registered_works; }
void set_works(const Works& works) { std::memcpy(registered_works, works, sizeof works); }

ExecImage::ExecImage(bool is_server, bool at_run, int socket, pid_t owner) : silent_(at_run) {
    if (hooked || at_run) {
        program_ = "/proc/self/exe";
        arguments_ = own_arguments();
    } else {
        program_ = helper_program();
        if (program_.empty())
            throw LaunchError("worker processes cannot be started: this program has threads, its start was not seen by "
                              "rankpool, and the helper program rankpool-host is not installed beside the library");
        arguments_ = {program_};
    }
    const std::string prefix = std::string(token_name) + "=";
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        const auto name = text.substr(0, text.find('='));
        if (!is_launcher_variable(name)) environment_.emplace_back(text);
    }
    environment_.push_back(prefix + (is_server ? "server:" : "child:") + (at_run ? "run:" : "start:") +
                           std::to_string(socket) + ":" + std::to_string(owner));
    for (auto& argument : arguments_) argv_.push_back(argument.data());
    for (auto& variable : environment_) envp_.push_back(variable.data());
    argv_.push_back(nullptr);
    envp_.push_back(nullptr);
    null_.reset(open("/dev/null", O_RDWR | O_CLOEXEC));
}

void ExecImage::exec(int socket) const {
    fcntl(socket, F_SETFD, 0);
    if (silent_)  // what main prints before run() was printed once already
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null_.get(), stream);
    execve(program_.c_str(), argv_.data(), envp_.data());
}

std::optional<ExecToken> take_exec_token(bool in_run) {
    const char* text = std::getenv(token_name);
    if (text == nullptr) return std::nullopt;
    char role[8] = {}, moment[8] = {};
    int socket = -1, owner = 0;
    if (std::sscanf(text, "%7[a-z]:%7[a-z]:%d:%d", role, moment, &socket, &owner) != 4) return std::nullopt;
    const bool at_run = std::strcmp(moment, "run") == 0;
    if (at_run != in_run) return std::nullopt;
    ExecToken token{std::strcmp(role, "server") == 0, at_run, socket, owner};
    unsetenv(token_name);
    // A stale token names a descriptor that is no socket of ours.
    char address[128];
    socklen_t length = sizeof address;
    if (getsockname(socket, reinterpret_cast<sockaddr*>(address), &length) != 0) return std::nullopt;
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    return token;
}

void become(const ExecToken& token) {
    if (token.is_server) serve_owner(os::UniqueFd(token.socket), token.owner, program_works(), token.at_run);
    const os::UniqueFd socket(token.socket);
    start_child(os::receive_packet(socket.get(), 4096), program_works());
}

}  // namespace rankpool::process
