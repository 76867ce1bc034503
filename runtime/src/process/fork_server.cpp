#include "process/fork_server.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

#include "os/blocked_signals.hpp"
#include "os/byte_stream.hpp"
#include "os/failure.hpp"
#include "os/memory.hpp"
#include "os/socket.hpp"
#include "os/standard_streams.hpp"
#include "process/child_start.hpp"
#include "process/exec_self.hpp"
#include "process/identity.hpp"
#include "process/packets.hpp"
#include "process/server_loop.hpp"
#include "process/works.hpp"
#include <rankpool/error.hpp>

namespace rankpool::process {
namespace {

// Never destroyed: static destructors of the program may still use pools. stop() is what ends it.
struct Current {
    std::mutex mutex;
    std::shared_ptr<ForkServer> server;
    pid_t owner = 0;
};
Current& current() {
    static auto* instance = new Current;
    return *instance;
}

std::vector<std::byte> to_bytes(const ChildSpec& spec) {
    os::ByteWriter out;
    const Surroundings& around = spec.surroundings;
    out.put(static_cast<std::uint32_t>(around.environment.size()));
    for (const std::string& variable : around.environment) out.put(variable);
    out.put(around.working_directory);
    out.put(around.umask);
    out.put(static_cast<std::uint32_t>(around.affinity.size()));
    for (const std::uint64_t word : around.affinity) out.put(word);
    const ProcessInfo creator = current_process();
    for (const std::string& text : {spec.self.name, spec.self.lineage, creator.name}) out.put(text);
    out.put(spec.self.daemon);
    out.put(creator.pid);
    out.put(creator.daemon);
    out.put_bytes(spec.description);
    return std::move(out.bytes());
}

// Forks twice, so that the server is nobody's child: a program that waits for its children never meets it.
template <class Body>
void fork_detached(Body&& body) {
    const pid_t between = os::check(fork(), "fork", "the process that makes workers");
    if (between == 0) {
        const pid_t server = fork();
        if (server == 0) body();
        _exit(server < 0 ? 1 : 0);
    }
    int status = 0;
    os::retry_interrupted([&] { return waitpid(between, &status, 0); });
}

std::shared_ptr<ForkServer> start(bool at_run, const std::vector<int>& own) {
    os::occupy_standard_streams();
    os::SocketPair pair = os::socket_pair();
    const pid_t owner = getpid();
    if (thread_count() == 1) {
        flush_output();  // or the children would print what is buffered here once more
        fork_detached([&] {
            pair.first.reset();
            for (const int descriptor : own) close(descriptor);  // their owners are in the other process
            new (&current()) Current;  // the copy's lock is held, by a frame that will never return here
            serve_owner(std::move(pair.second), owner, program_works(), at_run);
        });
    } else {
        const ExecImage image(true, at_run, pair.second.get(), owner);
        const int socket = pair.second.get();
        fork_detached([&] {
            image.exec(socket);
            _exit(127);
        });
    }
    pair.second.reset();
    const timeval patience{30, 0};
    setsockopt(pair.first.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const os::Packet hello = os::receive_packet(pair.first.get(), sizeof(Report));
    Report report;
    if (!hello.alive || hello.bytes.size() != sizeof report)
        throw LaunchError("the process that makes workers did not start; is the machine out of memory or processes?");
    std::memcpy(&report, hello.bytes.data(), sizeof report);
    const timeval forever{0, 0};
    setsockopt(pair.first.get(), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    const auto pid = static_cast<pid_t>(report.value);
    // Lets the server and its descendants read this process's memory where the kernel asks for consent (Yama).
    (void)prctl(PR_SET_PTRACER, static_cast<unsigned long>(pid), 0, 0, 0);
    return std::make_shared<ForkServer>(std::move(pair.first), pid);
}

std::shared_ptr<ForkServer> running(bool at_run, const std::vector<int>& own) {
    Current& now = current();
    std::lock_guard lock(now.mutex);
    // After a fork of the program's own, the copy has neither the server nor its reader.
    if (now.server && now.owner != getpid()) new std::shared_ptr<ForkServer>(std::move(now.server));
    if (!now.server || !now.server->alive()) {
        now.server = start(at_run, own);
        now.owner = getpid();
    }
    return now.server;
}

}  // namespace

std::shared_ptr<ForkServer> ForkServer::instance() { return running(false, {}); }

void ForkServer::start_at_run(std::vector<int> own) { (void)running(true, own); }

void ForkServer::stop() {
    Current& now = current();
    std::shared_ptr<ForkServer> last;
    {
        std::lock_guard lock(now.mutex);
        if (now.owner == getpid()) last = std::move(now.server);
    }
}

ForkServer::ForkServer(os::UniqueFd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {
    const os::BlockedSignals blocked;
    reader_ = std::thread([this] { read_events(); });
}

ForkServer::~ForkServer() {
    shutdown(socket_.get(), SHUT_RDWR);
    if (reader_.get_id() == std::this_thread::get_id())
        reader_.detach();  // an event held the last reference
    else
        reader_.join();
}

bool ForkServer::alive() const {
    std::lock_guard lock(mutex_);
    return alive_;
}

ChildId ForkServer::spawn(const ChildSpec& spec, ChildEvents events) {
    const std::vector<std::byte> bytes = to_bytes(spec);
    const os::UniqueFd memory = os::create_memory("rankpool-child", bytes.size());
    for (std::size_t done = 0; done < bytes.size();) {
        const auto wrote = os::check(pwrite(memory.get(), bytes.data() + done, bytes.size() - done,
                                            static_cast<off_t>(done)), "pwrite", "the description of a child process");
        done += static_cast<std::size_t>(wrote);
    }
    os::UniqueFd directory(open(spec.surroundings.working_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) directory.reset(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));  // it was removed: still ours
    const os::UniqueFd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto usable = [&](int fd) { return fcntl(fd, F_GETFD) >= 0 ? fd : nothing.get(); };
    std::vector<int> descriptors{memory.get(), directory ? directory.get() : nothing.get(), usable(STDOUT_FILENO),
                                 usable(STDERR_FILENO)};
    descriptors.insert(descriptors.end(), spec.descriptors.begin(), spec.descriptors.end());

    ChildId child;
    {
        std::lock_guard lock(mutex_);
        child = next_++;
        children_.emplace(child, std::move(events));  // before the request: the answer may come first
    }
    const Request request{Order::spawn, static_cast<std::uint32_t>(spec.kind), child, 0, bytes.size()};
    if (!alive() || !os::send_packet(socket_.get(), bytes_of(request), descriptors)) {
        std::lock_guard lock(mutex_);
        children_.erase(child);
        alive_ = false;  // the reader may learn it later, and whoever tries again must not get this one once more
        throw LaunchError("the process that makes workers (pid " + std::to_string(pid_) + ") is gone");
    }
    return child;
}

void ForkServer::kill(ChildId child, int signal) {
    const Request request{Order::kill, 0, child, signal, 0};
    (void)os::send_packet(socket_.get(), bytes_of(request));  // a dead server's children are dead already
}

void ForkServer::signal(ChildId child, int signal) {
    const Request request{Order::signal, 0, child, signal, 0};
    (void)os::send_packet(socket_.get(), bytes_of(request));
}

void ForkServer::read_events() {
    for (;;) {
        os::Packet packet;
        try {
            packet = os::receive_packet(socket_.get(), sizeof(Report));
        } catch (const Error&) {
        }
        Report report;
        if (!packet.alive || packet.bytes.size() != sizeof report) break;
        std::memcpy(&report, packet.bytes.data(), sizeof report);
        ChildEvents events;
        {
            std::lock_guard lock(mutex_);
            const auto child = children_.find(report.child);
            if (child == children_.end()) continue;
            events = child->second;
            if (report.news == News::ended || report.news == News::failed) children_.erase(child);
        }
        const int status = static_cast<int>(report.value);
        if (report.news == News::started && events.started) events.started(static_cast<pid_t>(report.value));
        if (report.news == News::failed && events.failed) events.failed(os::failure_text("fork", "a child process", status));
        if (report.news == News::ended && events.ended)
            events.ended(WIFSIGNALED(status) ? Ended{WTERMSIG(status), 0} : Ended{0, WEXITSTATUS(status)});
    }
    std::map<ChildId, ChildEvents> orphans;
    {
        std::lock_guard lock(mutex_);
        alive_ = false;
        orphans.swap(children_);
    }
    // The server was killed, and its children with it.
    for (auto& [child, events] : orphans)
        if (events.ended) events.ended({SIGKILL, 0});
}

}  // namespace rankpool::process
