#include "pool/core.hpp"

#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "entry/context.hpp"
#include "os/blocked_signals.hpp"
#include "os/own_pid.hpp"
#include "pool/call_state.hpp"
#include "pool/stream.hpp"
#include "pool/thread_site.hpp"
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {

// Functions without state that stay known between calls.
constexpr std::size_t stateless_kept = 64;

// The innermost callback that this thread is running.
thread_local const InCallback* calling_back = nullptr;
// The number of the pool whose service thread this is.
thread_local std::uint64_t serving = 0;

// How many modules were ever unloaded: another may lie now where a function was.
unsigned long long module_unloads() {
    unsigned long long count = 0;
    dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<unsigned long long*>(to) = info->dlpi_subs;
        return 1;  // the first one tells
    }, &count);
    return count;
}

}  // namespace

KnownFunction::KnownFunction(std::vector<std::unique_ptr<Site>>& sites, const Function& function)
    : item_size_(function.item_size), result_size_(function.result_size) {
    for (auto& site : sites) known_.emplace_back(site.get(), site->add_function(function));
}

KnownFunction::~KnownFunction() {
    for (const auto& [site, id] : known_) site->forget(id);
}

Core::Work::Work(std::shared_ptr<Core> core) : core_(std::move(core)) {
    core_->check_is_here();
    std::lock_guard lock(core_->mutex_);
    core_->check_open();
    if (core_->broken_) std::rethrow_exception(core_->broken_);
    ++core_->works_;
}

std::unique_ptr<Core::Work> Core::Work::visit(const std::shared_ptr<Core>& core) {
    std::lock_guard lock(core->mutex_);
    if (core->stop_service_) return nullptr;
    ++core->works_;
    return std::unique_ptr<Work>(new Work(core, Counted{}));
}

Core::Work::~Work() { core_->end_work(); }

void Core::end_work() {
    {
        std::lock_guard lock(mutex_);
        --works_;
        changed_.notify_all();
    }
    leave_ranks();
}

// Of a pool over a communicator that takes no new work and has none: the other ranks may go on.
void Core::leave_ranks() {
    if (!lead_ || phase_.load() == Phase::open) return;
    {
        std::lock_guard lock(mutex_);
        const bool busy = works_ > 0 || (phase_.load() == Phase::closed && !streams_.empty());
        if (busy || std::exchange(left_ranks_, true)) return;
        leaving_ranks_ = true;
    }
    lead_->manager().leave();
    std::lock_guard lock(mutex_);
    leaving_ranks_ = false;
    changed_.notify_all();
}

Core::Core() : phase_(Phase::terminated), owner_(getpid()) {}

Core::Core(int processes, EngineOptions options, std::shared_ptr<comm::Transport> transport) : owner_(getpid()) {
    lead_.emplace(comm::Post::Of::communicator, [&] { return std::move(transport); });
    try {
        options.surroundings = process::Surroundings::here();
        open_sites(lead_->manager(), processes, options);
    } catch (...) {
        lead_->manager().leave();
        throw;
    }
}

void Core::open_sites(Manager& manager, int processes, const EngineOptions& options) {
    sites_ = manager.open_sites(processes, options, size_);
    if (sites_.size() == 1) own_ = sites_.front()->engine();
    listen_to_sites();
}

// Workers may be gone for good when no call is under way; and of several sites none of the others notices.
void Core::listen_to_sites() {
    for (auto& site : sites_) site->when_broken([this](const std::exception_ptr& why) { break_down(why); });
}

Core::Core(int processes, Backend backend, EngineOptions options, const char* who) : owner_(getpid()) {
    Manager* const manager = entry::manager_of_ranks();
    if (backend == Backend::ranks && manager == nullptr)
        throw std::invalid_argument(std::string(who) + ": Backend::ranks needs a job of several ranks: rankpool::run() under rankrun, "
                                    "mpirun or srun, and this made in main, not in a task");
    if (backend == Backend::threads || backend == Backend::serial) {
        size_ = backend == Backend::serial ? 1 : processes > 0 ? processes : process_cpu_count();
        sites_.push_back(std::make_unique<ThreadSite>(size_, backend == Backend::serial, options.initializer));
        return;
    }
    options.surroundings = process::Surroundings::here();
    if (backend != Backend::processes && manager != nullptr) {
        open_sites(*manager, processes, options);
        return;
    }
    options.cpus = process_cpu_count();
    size_ = processes > 0 ? processes : options.cpus;
    options.workers = options.pool_size = size_;
    options.seats.assign(static_cast<std::size_t>(size_), Seat{entry::own_rank(), std::max(1, options.cpus / size_)});
    auto site = std::make_unique<OwnSite>(std::move(options));
    own_ = site->engine();
    sites_.push_back(std::move(site));
    listen_to_sites();
}

void Core::shut_down() {
    if (owner_ != getpid()) {
        // A copy made by the program's own fork: workers, threads and locks belong to the original. It is kept for ever.
        new std::shared_ptr<Core>(shared_from_this());
        return;
    }
    terminate();
    {
        std::unique_lock lock(mutex_);
        // The service thread ends what nobody waits for.
        if (!on_service_thread()) changed_.wait(lock, [&] { return works_ == 0; });
        stop_service_ = true;
        changed_.notify_all();
    }
    if (own_ != nullptr) own_->wake();
    if (service_.joinable()) {
        if (on_service_thread())
            service_.detach();  // the pool is destroyed by one of its own callbacks
        else
            service_.join();
    }
    {
        std::lock_guard lock(functions_mutex_);
        stateless_.clear();
    }
    if (works_ != 0) return;
    sites_.clear();
    leave_ranks();
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !leaving_ranks_; });  // who ended the last work may be at it
    }
    lead_.reset();
}

void Core::check_open() const {
    switch (phase_.load()) {
        case Phase::open: return;
        case Phase::closed: throw PoolClosed("the pool was closed: it takes no new work; make another pool");
        case Phase::terminated: throw PoolClosed("the pool was terminated: it takes no new work; make another pool");
    }
}

void Core::break_down(const std::exception_ptr& why) {
    std::lock_guard lock(mutex_);
    if (!broken_) broken_ = why;
}

std::exception_ptr Core::broken() {
    std::lock_guard lock(mutex_);
    return broken_;
}

void Core::check_unbroken() {
    if (own_ != nullptr) own_->look();
    if (const auto why = broken()) std::rethrow_exception(why);
}

bool Core::in_callback() const { return InCallback::of(number_); }
bool Core::on_service_thread() const { return serving == number_; }

std::uint64_t Core::next_number() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

void Core::check_may_wait(const char* what) const {
    check_is_here();
    if (in_callback())
        throw std::logic_error(std::string(what) + " was called in a callback of the same pool and could wait for ever: callbacks "
                               "run on the thread that brings results; use the asynchronous calls there");
}

bool Core::is_here() const { return owner_ == os::own_pid(); }

void Core::check_is_here() const {
    if (is_here()) return;
    throw std::logic_error("this pool or executor belongs to the process with pid " + std::to_string(owner_) + "; its copy in pid " +
                           std::to_string(getpid()) + ", which was forked from there, cannot be used: make another one here");
}

void Core::close() {
    check_is_here();
    Phase open = Phase::open;
    phase_.compare_exchange_strong(open, Phase::closed);
    leave_ranks();
}

void Core::terminate() {
    check_is_here();
    if (phase_.load() != Phase::terminated) end_workers(SIGKILL);
}

void Core::end_workers(int signal) {
    const bool again = phase_.exchange(Phase::terminated) == Phase::terminated;
    for (auto& site : sites_) site->terminate(signal);
    if (again) return;
    for (const auto& stream : living_streams()) stream->pool_ended();
    changed_.notify_all();
    leave_ranks();
}

std::vector<std::shared_ptr<Stream>> Core::living_streams() {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Stream>> alive;
    for (Stream* stream : streams_)
        if (auto held = stream->weak_from_this().lock()) alive.push_back(std::move(held));
    return alive;
}

void Core::join() {
    check_is_here();
    if (phase_.load() == Phase::open) throw std::logic_error("Pool::join: call close() or terminate() first");
    check_may_wait("Pool::join");
    // What was begun is delivered, also after the workers have gone.
    for (const auto& stream : living_streams()) stream->finish();
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return works_ == 0; });
    }
    terminate();
}

std::vector<WorkerInfo> Core::workers() {
    check_is_here();
    std::vector<WorkerInfo> all;
    for (auto& site : sites_)
        for (WorkerStats& worker : site->worker_stats()) all.push_back(std::move(worker.worker));
    return all;
}

PoolStats Core::stats() {
    check_is_here();
    PoolStats stats;
    for (auto& site : sites_)
        for (WorkerStats& worker : site->worker_stats()) stats.workers.push_back(std::move(worker));
    stats.items = items_.load();
    stats.errors = errors_.load();
    stats.reused = reused_.load();
    double sum = 0, largest = 0;
    for (const WorkerStats& worker : stats.workers) {
        sum += static_cast<double>(worker.busy.count());
        largest = std::max(largest, static_cast<double>(worker.busy.count()));
    }
    if (sum > 0) stats.imbalance = largest * static_cast<double>(stats.workers.size()) / sum - 1;
    return stats;
}

std::shared_ptr<const KnownFunction> Core::know(const task::Descriptor& descriptor, std::span<const std::byte> function) {
    // A function without state is the same in every call: it stays known, so that small calls need not send it again.
    const bool stateless = function.empty();
    std::lock_guard lock(functions_mutex_);
    if (stateless) {
        if (const auto unloads = module_unloads(); unloads != unloads_) {
            unloads_ = unloads;
            stateless_.clear();
        }
        const auto known = std::find_if(stateless_.begin(), stateless_.end(), [&](const auto& f) { return f.descriptor == &descriptor; });
        if (known != stateless_.end() && known->exceptions == wire::registered_count()) {
            stateless_.splice(stateless_.begin(), stateless_, known);
            return known->function;
        }
        if (known != stateless_.end()) stateless_.erase(known);
    }
    auto made = std::make_shared<const KnownFunction>(sites_, Function::pack(descriptor, function));
    if (stateless) {
        stateless_.push_front({&descriptor, wire::registered_count(), made});
        if (stateless_.size() > stateless_kept) stateless_.pop_back();
    }
    return made;
}

// ---- the service thread ----

void Core::need_service() {
    std::lock_guard lock(mutex_);
    if (service_.joinable() || stop_service_) return;
    const os::BlockedSignals blocked;
    service_ = std::thread([core = shared_from_this()] { core->serve(); });
}

void Core::attend(std::shared_ptr<Attended> who) {
    {
        std::lock_guard lock(mutex_);
        to_attend_.push_back(std::move(who));
        changed_.notify_all();
    }
    if (own_ != nullptr) own_->wake();
}

void Core::call_back(std::function<void()> callback) {
    {
        std::lock_guard lock(mutex_);
        callbacks_.push_back(std::move(callback));
        changed_.notify_all();
    }
    if (own_ != nullptr) own_->wake();
}

bool Core::service_has_work() {
    std::lock_guard lock(mutex_);
    return stop_service_ || !to_attend_.empty() || !callbacks_.empty();
}

void Core::serve() {
    serving = number_;
    for (;;) {
        bool ending;
        {
            std::lock_guard lock(mutex_);
            ending = stop_service_;
        }
        if (ending) {
            // Only what is left: a callback may have destroyed the pool, and the engine with it.
        } else if (own_ != nullptr) {
            own_->drive([this] { return service_has_work(); }, std::nullopt, Engine::Role::service);
        } else {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return stop_service_ || !to_attend_.empty() || !callbacks_.empty(); });
        }
        std::deque<std::shared_ptr<Attended>> attended;
        std::deque<std::function<void()>> callbacks;
        bool stop;
        {
            std::lock_guard lock(mutex_);
            attended.swap(to_attend_);
            callbacks.swap(callbacks_);
            stop = stop_service_;
        }
        for (const auto& who : attended) who->attend();
        {
            const InCallback here(number_);  // the end of what callbacks held is theirs, too
            for (auto& callback : callbacks) {
                run_callback(number_, callback);
                callback = nullptr;
            }
        }
        if (stop && attended.empty() && callbacks.empty()) return;
    }
}

void Core::count_results(std::uint64_t items, std::uint64_t errors, std::uint64_t reused) {
    items_ += items;
    reused_ += reused;
    errors_ += errors;
}

void Core::add_stream(Stream* stream) {
    std::lock_guard lock(mutex_);
    streams_.insert(stream);
}

void Core::remove_stream(Stream* stream) {
    {
        std::lock_guard lock(mutex_);
        streams_.erase(stream);
    }
    leave_ranks();
}

InCallback::InCallback(std::uint64_t pool) : pool_(pool), outer_(std::exchange(calling_back, this)) {}
InCallback::~InCallback() { calling_back = outer_; }

bool InCallback::of(std::uint64_t pool) {
    for (const InCallback* each = calling_back; each != nullptr; each = each->outer_)
        if (each->pool_ == pool) return true;
    return false;
}

void run_callback(std::uint64_t pool, const std::function<void()>& callback) {
    const InCallback here(pool);
    try {
        callback();
    } catch (...) {
        std::fprintf(stderr, "rankpool: a callback threw %s\n", wire::describe_for_people(std::current_exception()).c_str());
    }
}

}  // namespace rankpool::pool
