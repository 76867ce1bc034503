#include <rankpool/process.hpp>

#include <stdexcept>

#include "child/child_process.hpp"

namespace rankpool {

namespace child {

std::shared_ptr<ChildProcess> prepare(const task::Descriptor& descriptor, wire::Buffer function, wire::Buffer arguments) {
    return std::make_shared<ChildProcess>(descriptor, std::move(function), std::move(arguments));
}

}  // namespace child

Process::~Process() {
    if (child_) child_->end();
}

Process& Process::operator=(Process&& other) noexcept {
    if (this == &other) return *this;
    if (child_) child_->end();
    child_ = std::move(other.child_);
    return *this;
}

child::ChildProcess& Process::child() const {
    if (!child_) throw std::logic_error("this Process was moved from; only the object that it was moved to can be used");
    return *child_;
}

Process& Process::name(std::string name) {
    child().set_name(std::move(name));
    return *this;
}

Process& Process::daemon(bool daemon) {
    child().set_daemon(daemon);
    return *this;
}

void Process::start() { child().start(); }
bool Process::join() { return child().join({}); }
bool Process::join(std::chrono::nanoseconds timeout) { return child().join(pool::deadline_after(timeout)); }
bool Process::is_alive() const { return child().is_alive(); }
std::optional<int> Process::exitcode() const { return child().exit_code(); }
std::optional<pid_t> Process::pid() const { return child().pid(); }
const std::string& Process::name() const { return child().name(); }
bool Process::daemon() const { return child().daemon(); }
void Process::terminate() { child().terminate(); }
void Process::kill() { child().kill(); }
int Process::sentinel() const { return child().sentinel(); }

}  // namespace rankpool
