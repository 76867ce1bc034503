#include "child/child_process.hpp"

#include <unistd.h>

#include <stdexcept>

#include "child/family.hpp"
#include "child/target.hpp"
#include "entry/works.hpp"
#include "process/child_start.hpp"
#include "process/identity.hpp"

namespace rankpool::child {
namespace {

std::string next_lineage() {
    const std::string own = process::identity().lineage;
    return (own.empty() ? "" : own + ":") + std::to_string(next_number());
}

}  // namespace

ChildProcess::ChildProcess(const task::Descriptor& descriptor, wire::Buffer function, wire::Buffer arguments)
    : creator_(getpid()),
      lineage_(next_lineage()),
      descriptor_(descriptor),
      function_(std::move(function)),
      arguments_(std::move(arguments)),
      name_("Process-" + lineage_),
      daemon_(process::identity().daemon) {}

void ChildProcess::set_name(std::string name) {
    const std::lock_guard lock(mutex_);
    require_unstarted("name");
    name_ = std::move(name);
}

void ChildProcess::set_daemon(bool daemon) {
    const std::lock_guard lock(mutex_);
    require_unstarted("daemon");
    daemon_ = daemon;
}

bool ChildProcess::daemon() const {
    const std::lock_guard lock(mutex_);
    return daemon_;
}

void ChildProcess::start() {
    require_own_process();
    process::ChildSpec spec;
    {
        const std::lock_guard lock(mutex_);
        require_unstarted("start");
        spec.description = TargetOrders{descriptor_, function_, arguments_}.to_bytes();
        spec.self = {name_, daemon_, lineage_};
        starting_ = true;
    }
    std::shared_ptr<Life> life;
    try {
        entry::register_works();
        process::flush_standard_output();  // or it would appear behind what the process prints
        spec.kind = process::Kind::process;
        spec.surroundings = process::Surroundings::here();
        life = Life::begin(std::move(spec));
    } catch (...) {
        const std::lock_guard lock(mutex_);
        starting_ = false;
        throw;
    }
    {
        const std::lock_guard lock(mutex_);
        starting_ = false;
        life_ = std::move(life);
        function_ = {};  // nobody needs them any more, and they may be large
        arguments_ = {};
    }
    join_family(shared_from_this());
}

bool ChildProcess::join(pool::Deadline until) { return begun_life("join")->wait(until); }

void ChildProcess::join_or_kill(pool::Deadline until) {
    const auto life = begun_life("join");
    if (life->wait(until)) return;
    life->kill();
    life->wait({});
}

void ChildProcess::end() {
    if (getpid() != creator_) return;
    const auto running = life();
    if (!running) return;
    if (daemon()) {
        running->terminate();
        join_or_kill(pool::deadline_after(daemon_grace));
    } else {
        running->wait({});
    }
}

bool ChildProcess::is_alive() const {
    const auto begun = life();
    return begun && !begun->exit_code();
}

std::optional<int> ChildProcess::exit_code() const {
    const auto begun = life();
    return begun ? begun->exit_code() : std::nullopt;
}

std::optional<pid_t> ChildProcess::pid() const {
    const auto begun = life();
    return begun ? std::optional(begun->pid()) : std::nullopt;
}

void ChildProcess::terminate() {
    if (const auto begun = life()) begun->terminate();
}

void ChildProcess::kill() {
    if (const auto begun = life()) begun->kill();
}

int ChildProcess::sentinel() const { return begun_life("sentinel")->sentinel(); }

std::shared_ptr<Life> ChildProcess::life() const {
    require_own_process();
    const std::lock_guard lock(mutex_);
    return life_;
}

std::shared_ptr<Life> ChildProcess::begun_life(const char* asked) const {
    auto begun = life();
    if (!begun) throw std::logic_error("Process::" + std::string(asked) + ": " + name_ + " was not started; call start() first");
    return begun;
}

void ChildProcess::require_unstarted(const char* asked) const {
    if (starting_ || life_) throw std::logic_error("Process::" + std::string(asked) + ": " + name_ + " was started already");
}

void ChildProcess::require_own_process() const {
    if (getpid() != creator_)
        throw std::logic_error("this Process belongs to the process with pid " + std::to_string(creator_) + "; its copy in pid " +
                               std::to_string(getpid()) + ", which was forked from there, cannot be used");
}

}  // namespace rankpool::child
