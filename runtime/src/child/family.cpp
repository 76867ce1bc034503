#include "child/family.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#include <rankpool/error.hpp>
#include <rankpool/process_info.hpp>

namespace rankpool::child {
namespace {

struct Family {
    const pid_t owner = getpid();
    Family* const before;  // the one that this process inherited; kept, as somebody may hold its lock for ever
    std::mutex mutex;
    int numbered = 0;
    bool ends_with_program = false;
    std::vector<std::weak_ptr<ChildProcess>> children;

    explicit Family(Family* inherited) : before(inherited) {}
};

// After a fork, by us or by the program, the copy has none of the processes that its original started. Never destroyed:
// static destructors may still start processes.
Family& family() {
    static std::atomic<Family*> current{nullptr};
    Family* now = current.load(std::memory_order_acquire);
    while (now == nullptr || now->owner != getpid()) {
        auto* fresh = new Family(now);
        if (current.compare_exchange_strong(now, fresh, std::memory_order_acq_rel)) return *fresh;
        delete fresh;  // another thread was faster
    }
    return *now;
}

void end_with_program() {
    Family& own = family();
    {
        const std::lock_guard lock(own.mutex);
        own.ends_with_program = false;  // a static destructor that starts one more registers this again
    }
    end_children();
}

}  // namespace

int next_number() {
    Family& own = family();
    const std::lock_guard lock(own.mutex);
    return ++own.numbered;
}

void join_family(const std::shared_ptr<ChildProcess>& child) {
    Family& own = family();
    const std::lock_guard lock(own.mutex);
    if (!own.ends_with_program && std::atexit(end_with_program) != 0) throw Error("atexit: there is no memory for one more handler");
    own.ends_with_program = true;
    std::erase_if(own.children, [](const auto& known) {
        const auto alive = known.lock();
        return !alive || !alive->is_alive();
    });
    own.children.push_back(child);
}

std::vector<std::shared_ptr<ChildProcess>> living_children() {
    Family& own = family();
    std::vector<std::shared_ptr<ChildProcess>> living;
    const std::lock_guard lock(own.mutex);
    for (const auto& known : own.children)
        if (auto child = known.lock(); child && child->is_alive()) living.push_back(std::move(child));
    return living;
}

void end_children() {
    for (;;) {
        const auto living = living_children();  // again and again: other threads may start some meanwhile
        if (living.empty()) return;
        for (const auto& child : living)
            if (child->daemon()) child->terminate();
        const auto patience = pool::deadline_after(daemon_grace);
        for (const auto& child : living)
            if (!child->daemon()) child->join({});
        for (const auto& child : living)
            if (child->daemon()) child->join_or_kill(patience);
    }
}

}  // namespace rankpool::child

namespace rankpool {

std::vector<ProcessInfo> active_children() {
    std::vector<ProcessInfo> all;
    for (const auto& child : child::living_children()) all.push_back({child->name(), child->pid().value_or(0), child->daemon()});
    return all;
}

}  // namespace rankpool
