#include "process/child_start.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <typeinfo>
#ifdef __GLIBCXX__
#include <ext/stdio_sync_filebuf.h>
#endif

#include "os/byte_stream.hpp"
#include "os/failure.hpp"
#include "os/memory.hpp"
#include "process/identity.hpp"
#include "process/packets.hpp"
#include <rankpool/error.hpp>

namespace rankpool::process {
namespace {

// Whether std::cout passes everything on to stdout at once, as it does unless the program said otherwise.
bool cout_is_unbuffered() {
#ifdef __GLIBCXX__
    const std::streambuf* buffer = std::cout.rdbuf();
    return buffer != nullptr && typeid(*buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<char>);
#else
    return false;
#endif
}

void replace_environment(const std::vector<std::string>& variables) {
    clearenv();
    for (const std::string& variable : variables) {
        const auto equals = variable.find('=');
        if (equals != std::string::npos && equals != 0)
            setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
    }
}

void take_standard_stream(int fd, int number) {
    if (fd != number) os::check(dup2(fd, number), "dup2", "standard stream");
}

// Registered before the work begins, so it runs after every handler that the work itself registers, and before all
// those that main registered before the fork: which therefore never run here.
void end_without_mains_handlers(int status, void*) {
    flush_output();
    _exit(status);
}

void take_on(const Surroundings& surroundings, int directory) {
    replace_environment(surroundings.environment);
    if (fchdir(directory) != 0 && chdir(surroundings.working_directory.c_str()) != 0)
        os::fail("chdir", surroundings.working_directory);
    umask(surroundings.umask);
    if (!surroundings.affinity.empty())  // best effort: the mask may have been narrowed since
        (void)sched_setaffinity(0, surroundings.affinity.size() * 8,
                                reinterpret_cast<const cpu_set_t*>(surroundings.affinity.data()));
}

}  // namespace

void flush_output() {
    std::cout.flush();
    std::cerr.flush();
    std::clog.flush();
    std::fflush(nullptr);
}

void flush_standard_output() {
    static std::atomic<const std::streambuf*> passes_on = nullptr;  // the buffer that was seen to: a look at types costs more
    if (const std::streambuf* buffer = std::cout.rdbuf(); buffer != passes_on.load(std::memory_order_relaxed)) {
        if (cout_is_unbuffered())
            passes_on.store(buffer, std::memory_order_relaxed);
        else
            std::cout.flush();
    }
    if (__fpending(stdout) != 0) std::fflush(stdout);
}

void die_with(pid_t parent) {
    os::check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG)");
    if (getppid() != parent) _exit(1);  // it died before the line above
}

void ignore_terminal_signals() {
    for (const int signal : {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGHUP, SIGTERM, SIGUSR1, SIGUSR2})
        std::signal(signal, SIG_IGN);
}

void take_signal_actions(Kind kind) {
    if (kind == Kind::pool_worker) return ignore_terminal_signals();
    for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_DFL);  // a few cannot be set, and need not be
}

void start_child(os::Packet spawn, const Works& works) {
    int code = 1;
    try {
        if (spawn.bytes.size() != sizeof(Request) || spawn.descriptors.size() < standard_descriptors)
            throw Error("the order to make a child process is damaged");
        Request request;
        std::memcpy(&request, spawn.bytes.data(), sizeof request);
        if (request.kind >= kinds) throw Error("unknown kind of child process");
        take_signal_actions(static_cast<Kind>(request.kind));  // again: a static initialiser may have set its own

        std::vector<std::byte> description;
        {
            const os::Mapping mapping(spawn.descriptors[0].get(), 0, request.specification_bytes,
                                      os::Mapping::Access::read_only);
            os::ByteReader reader({mapping.data(), request.specification_bytes});
            Surroundings surroundings;
            for (auto count = reader.get<std::uint32_t>(); count > 0; --count) surroundings.environment.push_back(reader.get_string());
            surroundings.working_directory = reader.get_string();
            surroundings.umask = reader.get<mode_t>();
            for (auto count = reader.get<std::uint32_t>(); count > 0; --count) surroundings.affinity.push_back(reader.get<std::uint64_t>());
            Identity& self = identity();
            self.name = reader.get_string();
            self.lineage = reader.get_string();
            ProcessInfo& creator = self.creator.emplace();
            creator.name = reader.get_string();
            self.daemon = reader.get<bool>();
            creator.pid = reader.get<pid_t>();
            creator.daemon = reader.get<bool>();
            const auto rest = reader.rest();
            description.assign(rest.begin(), rest.end());
            const os::UniqueFd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
            take_standard_stream(nothing.get(), STDIN_FILENO);
            take_standard_stream(spawn.descriptors[2].get(), STDOUT_FILENO);
            take_standard_stream(spawn.descriptors[3].get(), STDERR_FILENO);
            take_on(surroundings, spawn.descriptors[1].get());
        }
        spawn.descriptors.erase(spawn.descriptors.begin(), spawn.descriptors.begin() + standard_descriptors);
        on_exit(end_without_mains_handlers, nullptr);
        code = works[request.kind](description, std::move(spawn.descriptors));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankpool: a child process (pid %d) cannot start: %s\n", getpid(), error.what());
    }
    flush_output();
    _exit(code);
}

}  // namespace rankpool::process
