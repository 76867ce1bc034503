#include "child/life.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>

#include "os/failure.hpp"
#include "os/socket.hpp"
#include <rankpool/error.hpp>

namespace rankpool::child {
namespace {

// The fork server is started anew when somebody has killed it; that this happens again and again is no accident.
constexpr int attempts = 3;
// What the sentinel counts down from: whoever reads it by mistake leaves it readable.
constexpr eventfd_t many = eventfd_t{1} << 62;

}  // namespace

Life::Life() : sentinel_(os::check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE), "eventfd", "the sentinel of a process")) {}

std::shared_ptr<Life> Life::begin(process::ChildSpec spec) {
    for (int attempt = 0; attempt < attempts; ++attempt) {
        const auto life = std::make_shared<Life>();
        if (life->try_to_begin(spec, life) == Start::running) return life;
    }
    throw LaunchError("the process that makes child processes was killed each time it was asked for one");
}

Life::Start Life::try_to_begin(process::ChildSpec& spec, const std::shared_ptr<Life>& self) {
    os::SocketPair gate = os::socket_pair();
    spec.descriptors = {gate.second.get()};
    process::ChildEvents events;
    events.started = [self](pid_t pid) {
        const std::lock_guard lock(self->mutex_);
        self->pid_ = pid;
        self->changed_.notify_all();
    };
    events.failed = [self](const std::string& why) {
        const std::lock_guard lock(self->mutex_);
        self->failure_ = why;
        self->changed_.notify_all();
    };
    events.ended = [self](process::Ended how) { self->ended(how.signal != 0 ? -how.signal : how.exit_code); };

    const auto server = process::ForkServer::instance();
    try {
        id_ = server->spawn(spec, events);
    } catch (const LaunchError&) {
        return Start::server_died;
    }
    server_ = server;
    gate.second.reset();
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return pid_ != 0 || exit_code_ || !failure_.empty(); });
        if (!failure_.empty()) throw LaunchError("a process cannot be started: " + failure_);
        if (pid_ == 0) return Start::server_died;
    }
    const std::byte open{1};
    (void)os::send_packet(gate.first.get(), {&open, 1});  // false: it has been killed already
    return Start::running;
}

void Life::ended(int exit_code) {
    const std::lock_guard lock(mutex_);
    exit_code_ = exit_code;
    (void)eventfd_write(sentinel_.get(), many);  // cannot fail: the counter is 0
    changed_.notify_all();
}

std::optional<int> Life::exit_code() const {
    const std::lock_guard lock(mutex_);
    return exit_code_;
}

bool Life::wait(pool::Deadline until) {
    std::unique_lock lock(mutex_);
    const auto over = [this] { return exit_code_.has_value(); };
    if (until) return changed_.wait_until(lock, *until, over);
    changed_.wait(lock, over);
    return true;
}

void Life::terminate() {
    if (const auto server = server_.lock()) server->signal(id_, SIGTERM);
}

void Life::kill() {
    if (const auto server = server_.lock()) server->kill(id_, SIGKILL);
}

bool pass_gate(const os::UniqueFd& gate) { return os::receive_packet(gate.get(), 1).alive; }

}  // namespace rankpool::child
