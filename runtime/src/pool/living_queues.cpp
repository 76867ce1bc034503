#include "pool/living_queues.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <list>
#include <system_error>
#include <thread>
#include <vector>

#include "os/blocked_signals.hpp"

namespace rankpool::pool {
namespace {

struct Background {
    std::thread thread;
    std::shared_ptr<TaskQueue> queue;
    std::shared_ptr<std::atomic<bool>> over;

    /// Waits for it, where that can be: not in a copy of the process, which has no such thread, and not in the service
    /// thread of the executor, which the thread itself waits for.
    void end() {
        if (queue->is_here() && !queue->core().on_service_thread())
            thread.join();
        else
            new std::thread(std::move(thread));
    }
};

struct Living {
    std::atomic<pid_t> owner{0};
    std::mutex mutex;
    std::list<std::weak_ptr<TaskQueue>> queues;
    std::list<Background> background;

    void forget_ended() {
        queues.remove_if([](const auto& queue) { return queue.expired(); });
        background.remove_if([](Background& each) {
            if (!each.over->load()) return false;
            each.end();
            return true;
        });
    }
};

// Never destroyed: executors of static duration may end after it would be.
Living& living() {
    static auto& all = *new Living;
    return all;
}

}  // namespace

void complete_at_end(const std::shared_ptr<TaskQueue>& queue) {
    Living& all = living();
    // Registered when the first core exists: what that uses is destroyed later.
    static const int registered = std::atexit(complete_executors);
    (void)registered;
    all.owner = getpid();
    std::lock_guard lock(all.mutex);
    all.forget_ended();
    all.queues.push_back(queue);
}

void complete_in_background(const std::shared_ptr<TaskQueue>& queue) {
    Living& all = living();
    auto over = std::make_shared<std::atomic<bool>>(false);
    const os::BlockedSignals blocked;
    try {
        std::thread thread([queue, over] {
            queue->finish();
            over->store(true);
        });
        std::lock_guard lock(all.mutex);
        all.forget_ended();
        all.background.push_back({std::move(thread), queue, std::move(over)});
    } catch (const std::system_error&) {
        // No thread to be had: its workers stay until the end of the program, which completes it.
    }
}

void complete_executors() {
    Living& all = living();
    if (all.owner != getpid()) return;  // a copy of the process: nothing of them is here
    std::vector<std::shared_ptr<TaskQueue>> queues;
    std::list<Background> background;
    {
        std::lock_guard lock(all.mutex);
        for (const auto& each : all.queues)
            if (auto queue = each.lock(); queue && queue->is_here()) queues.push_back(std::move(queue));
        background.swap(all.background);
    }
    for (const auto& queue : queues) queue->close(false);
    for (const auto& queue : queues) queue->finish();
    for (Background& each : background) each.end();
}

}  // namespace rankpool::pool
