#include "pool/thread_site.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "os/blocked_signals.hpp"
#include "os/host_name.hpp"
#include "pool/worker_context.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::pool {
namespace {

using Clock = std::chrono::steady_clock;
using FunctionBytes = std::shared_ptr<const std::vector<std::byte>>;

// Memory for one item or result, aligned for every type that travels in rows.
struct alignas(64) Line {
    std::byte bytes[64];
};
std::byte* sized(std::vector<Line>& lines, std::size_t bytes) {
    lines.resize(bytes / sizeof(Line) + 1);
    return lines.front().bytes;
}

}  // namespace

struct ThreadSite::Batch {
    std::uint64_t id = 0, function = 0;
    FunctionBytes bytes;
    std::uint32_t result_size = 0;
    Items items;
    JobOptions options;
    Sink* sink = nullptr;  // null once nobody wants results
    std::function<void()> over;
    std::uint64_t next = 0;
    int running = 0;
    bool cancelled = false;
    std::vector<bool> has;  // by item

    bool draining() const { return options.draining && options.draining->load() != 0; }
    bool claimable() const { return !cancelled && !draining() && next < items.first + items.count; }
};

struct ThreadSite::Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::uint64_t next_id = 1;
    std::map<std::uint64_t, FunctionBytes> functions;
    std::map<std::uint64_t, std::shared_ptr<Batch>> batches;  // the oldest first
    std::vector<WorkerStats> stats;
    int idle = 0, alive = 0, starting = 0;
    std::exception_ptr broken;
    bool ending = false;
    std::atomic<std::uint32_t> stop{0};

    // With the mutex held: ends a batch that is through.
    void settle(const std::shared_ptr<Batch>& batch, std::unique_lock<std::mutex>& lock) {
        if (batch->claimable() || batch->running > 0 || batch->sink == nullptr) return;
        batches.erase(batch->id);
        batch->sink = nullptr;
        const auto over = std::move(batch->over);
        lock.unlock();
        over();
        lock.lock();
    }
};

// Runs items on one thread.
class ThreadSite::Runner {
  public:
    Runner(std::shared_ptr<Shared> shared, int index, int size) : shared_(std::move(shared)) {
        context_.worker = WorkerInfo{index, size, getpid(), os::host_name(), -1};
        context_.running = &running_;
        context_.stop = &shared_->stop;
    }

    const WorkerInfo& self() const { return *context_.worker; }

    void initialize(const std::vector<std::byte>& initializer) {
        if (initializer.empty()) return;
        const ThreadContext here(context_);
        run_once(initializer);
    }

    /// Takes the next item of the batch and runs it. With the lock held, which is released meanwhile.
    void run_next(const std::shared_ptr<Batch>& batch, std::unique_lock<std::mutex>& lock) {
        const std::uint64_t index = batch->next++;
        ++batch->running;
        // A copy of the item: the input is the caller's, who may be gone before a task that nobody can stop.
        const auto bytes = batch->items.part(index, index + 1);
        std::byte* item = sized(item_, bytes.size());
        wire::copy_bytes(item, bytes.data(), bytes.size());
        lock.unlock();

        context_.draining = batch->options.draining.get();
        const auto began = Clock::now();
        const std::uint64_t ends[2] = {0, bytes.size()};
        task::Stretch stretch;
        stretch.items = item;
        stretch.ends = ends + 1;
        stretch.first = static_cast<std::size_t>(index);
        stretch.results = sized(result_, batch->result_size);
        stretch.results_first = stretch.first;
        encoded_.clear();
        stretch.encoded = &encoded_;
        try {
            const ThreadContext here(context_);
            const OpenFunction& function = open(*batch);
            running_.store(index, std::memory_order_relaxed);
            context_.in_item = true;
            function.descriptor().run(function.function(), stretch, stretch.first, stretch.first + 1);
        } catch (...) {
            stretch.error = std::current_exception();
        }
        context_.in_item = false;
        if (const std::exception_ptr told = take_told_to_stop(context_); told && !stretch.error) stretch.error = told;
        std::optional<Failure> failure;
        if (stretch.error) failure = failure_of(stretch.error, self());

        lock.lock();
        WorkerStats& stats = shared_->stats[static_cast<std::size_t>(self().index)];
        ++stats.items;
        stats.busy += Clock::now() - began;
        --batch->running;
        if (batch->sink != nullptr) {
            batch->has[index - batch->items.first] = true;
            if (failure) {
                if (batch->options.fail_fast) batch->cancelled = true;
                batch->sink->failed(index, std::move(*failure));
            } else if (batch->result_size > 0) {
                batch->sink->fixed(index, 1, stretch.results);
            } else {
                batch->sink->value(index, encoded_);
            }
        }
        shared_->settle(batch, lock);
    }

    /// The life of a thread.
    void live(const std::vector<std::byte>& initializer) {
        std::exception_ptr error;
        try {
            initialize(initializer);
        } catch (...) {
            error = std::current_exception();
        }
        std::unique_lock lock(shared_->mutex);
        if (error && !shared_->broken) shared_->broken = error;
        --shared_->starting;
        shared_->changed.notify_all();
        while (!shared_->ending) {
            const auto found = std::find_if(shared_->batches.begin(), shared_->batches.end(), [](const auto& entry) { return entry.second->claimable(); });
            if (found == shared_->batches.end()) {
                ++shared_->idle;
                shared_->changed.wait(lock);
                --shared_->idle;
            } else {
                const auto batch = found->second;
                run_next(batch, lock);
            }
        }
        --shared_->alive;
        shared_->changed.notify_all();
    }

  private:
    const OpenFunction& open(const Batch& batch) {
        if (functions_.size() > 16) functions_.erase(functions_.begin());
        auto& slot = functions_[batch.function];
        if (!slot.second) {
            slot.first = batch.bytes;
            slot.second = std::make_unique<OpenFunction>(*batch.bytes);
        }
        return *slot.second;
    }

    std::shared_ptr<Shared> shared_;
    WorkerContext context_;
    std::atomic<std::uint64_t> running_{0};
    std::map<std::uint64_t, std::pair<FunctionBytes, std::unique_ptr<OpenFunction>>> functions_;
    std::vector<Line> item_, result_;
    wire::Buffer encoded_;
};

ThreadSite::ThreadSite(int workers, bool serial, const std::vector<std::byte>& initializer)
    : workers_(workers), serial_(serial), shared_(std::make_shared<Shared>()) {
    shared_->stats.resize(static_cast<std::size_t>(workers));
    for (int i = 0; i < workers; ++i)
        shared_->stats[static_cast<std::size_t>(i)].worker = WorkerInfo{i, workers, getpid(), os::host_name(), -1};
    if (serial) {
        try {
            Runner(shared_, 0, 1).initialize(initializer);
        } catch (...) {
            shared_->broken = std::current_exception();
        }
    } else {
        start_threads(initializer);
        std::unique_lock lock(shared_->mutex);
        shared_->changed.wait(lock, [&] { return shared_->starting == 0; });
    }
    if (!shared_->broken) return;
    {
        std::lock_guard lock(shared_->mutex);
        shared_->ending = true;
        shared_->changed.notify_all();
    }
    throw BrokenProcessPool("the pool's initializer failed: " + wire::describe_for_people(shared_->broken));
}

ThreadSite::~ThreadSite() {
    terminate(SIGKILL);
    std::unique_lock lock(shared_->mutex);
    shared_->ending = true;
    shared_->changed.notify_all();
    // Idle threads end now; one that runs a task ends after it.
    shared_->changed.wait(lock, [&] { return shared_->idle == 0; });
}

void ThreadSite::start_threads(const std::vector<std::byte>& initializer) {
    const os::BlockedSignals blocked;
    for (int i = 0; i < workers_; ++i) {
        {
            std::lock_guard lock(shared_->mutex);
            ++shared_->alive;
            ++shared_->starting;
        }
        try {
            std::thread([shared = shared_, i, workers = workers_, initializer] { Runner(shared, i, workers).live(initializer); }).detach();
        } catch (const std::system_error& error) {
            std::lock_guard lock(shared_->mutex);
            --shared_->alive;
            --shared_->starting;
            shared_->ending = true;  // those that were made go, too
            shared_->changed.notify_all();
            throw LaunchError("thread " + std::to_string(i) + " of a pool of " + std::to_string(workers_) + " could not be made: " + error.what());
        }
    }
}

std::vector<WorkerStats> ThreadSite::worker_stats() {
    std::lock_guard lock(shared_->mutex);
    return shared_->stats;
}

std::uint64_t ThreadSite::add_function(const Function& function) {
    std::lock_guard lock(shared_->mutex);
    const std::uint64_t id = shared_->next_id++;
    shared_->functions.emplace(id, std::make_shared<const std::vector<std::byte>>(function.bytes));
    return id;
}

void ThreadSite::forget(std::uint64_t function) {
    std::lock_guard lock(shared_->mutex);
    shared_->functions.erase(function);
}

std::uint64_t ThreadSite::give(std::uint64_t function, std::uint32_t result_size, const Items& items, const JobOptions& options,
                               Sink& sink, std::function<void()> over) {
    const auto batch = std::make_shared<Batch>();
    std::unique_lock lock(shared_->mutex);
    if (shared_->ending || shared_->stop.load() != 0) throw CancelledError("the pool was terminated before this work was done");
    batch->id = shared_->next_id++;
    batch->function = function;
    batch->bytes = shared_->functions.at(function);
    batch->result_size = result_size;
    batch->items = items;
    batch->options = options;
    batch->sink = &sink;
    batch->over = std::move(over);
    batch->next = items.first;
    batch->has.resize(static_cast<std::size_t>(items.count));
    const std::uint64_t id = batch->id;
    shared_->batches.emplace(id, batch);
    shared_->changed.notify_all();
    if (serial_) {
        Runner runner(shared_, 0, 1);  // several threads may be here
        while (batch->claimable()) runner.run_next(batch, lock);
    }
    return id;
}

bool ThreadSite::cancel(std::uint64_t id) {
    std::unique_lock lock(shared_->mutex);
    const auto found = shared_->batches.find(id);
    if (found == shared_->batches.end()) return false;
    const auto batch = found->second;
    batch->cancelled = true;
    shared_->settle(batch, lock);
    return false;
}

std::optional<bool> ThreadSite::has_begun(std::uint64_t id) {
    const std::lock_guard lock(shared_->mutex);
    const auto found = shared_->batches.find(id);
    return found == shared_->batches.end() || found->second->next > found->second->items.first;
}

std::vector<std::optional<bool>> ThreadSite::take_back(const std::vector<std::uint64_t>& batches) {
    const std::lock_guard lock(shared_->mutex);
    std::vector<std::optional<bool>> taken;
    for (const std::uint64_t id : batches) {
        const auto found = shared_->batches.find(id);
        const bool untouched = found != shared_->batches.end() && found->second->next == found->second->items.first;
        if (untouched) shared_->batches.erase(found);
        taken.push_back(untouched);
    }
    return taken;
}

// Its `options.draining` has told the tasks already.
void ThreadSite::drain(std::uint64_t id) { (void)cancel(id); }

void ThreadSite::terminate(int) {
    const Failure cancelled = failure_of(std::make_exception_ptr(CancelledError("the pool was terminated before this work was done")), {});
    std::unique_lock lock(shared_->mutex);
    for (auto& [id, batch] : shared_->batches) {
        batch->cancelled = true;
        if (batch->sink == nullptr) continue;
        batch->sink->rest_failed(cancelled);
        batch->sink = nullptr;  // what still runs is for nobody
    }
    shared_->stop.store(1);  // only now: what a task returns because of it must not count, and none may be started
    while (!shared_->batches.empty()) {
        const auto batch = shared_->batches.begin()->second;
        shared_->batches.erase(shared_->batches.begin());
        const auto over = std::move(batch->over);
        if (!over) continue;
        lock.unlock();
        over();
        lock.lock();
    }
}

}  // namespace rankpool::pool
