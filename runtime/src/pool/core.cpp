#include "pool/core.hpp"

#include <unistd.h>

#include <algorithm>

#include "pool/call_sink.hpp"
#include "pool/manager.hpp"
#include "entry/context.hpp"
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>

namespace rankpool::pool {

void OwnSite::terminate() {
    engine_.terminate(std::make_exception_ptr(CancelledError("the pool was terminated before this work was done")));
}

Core::Core(int processes, Backend backend, EngineOptions options) : owner_(getpid()) {
    if (processes < 0)
        throw std::invalid_argument("Pool: processes = " + std::to_string(processes) + "; expected 0 (all usable CPUs) or more");
    const bool in_job = entry::manages_ranks();
    if (backend == Backend::ranks && !in_job)
        throw std::invalid_argument("Pool: Backend::ranks needs a job of several ranks: rankpool::run() under rankrun, "
                                    "mpirun or srun, and the pool made in main, not in a task");
    options.surroundings = process::Surroundings::here();
    if (backend != Backend::processes && in_job) {
        sites_ = Manager::instance().open_sites(processes, options, size_);
        return;
    }
    size_ = processes > 0 ? processes : process_cpu_count();
    options.workers = options.pool_size = size_;
    options.rank = entry::own_rank();
    auto site = std::make_unique<OwnSite>(std::move(options));
    own_ = &site->engine();
    sites_.push_back(std::move(site));
}

Core::~Core() {
    if (owner_ != getpid()) {  // a copy made by the program's own fork: the workers are not its to end
        for (auto& site : sites_) (void)site.release();
        return;
    }
    terminate();
    std::unique_lock lock(calls_mutex_);
    calls_changed_.wait(lock, [&] { return calls_ == 0; });
}

void Core::check_open() const {
    switch (phase_.load()) {
        case Phase::open: return;
        case Phase::closed: throw PoolClosed("the pool was closed: it takes no new work; make another pool");
        case Phase::terminated: throw PoolClosed("the pool was terminated: it takes no new work; make another pool");
    }
}

void Core::close() {
    Phase open = Phase::open;
    phase_.compare_exchange_strong(open, Phase::closed);
}

void Core::terminate() {
    if (phase_.exchange(Phase::terminated) == Phase::terminated) return;
    for (auto& site : sites_) site->terminate();
}

void Core::join() {
    if (phase_.load() == Phase::open) throw std::logic_error("Pool::join: call close() or terminate() first");
    std::unique_lock lock(calls_mutex_);
    calls_changed_.wait(lock, [&] { return calls_ == 0; });
    lock.unlock();
    terminate();
}

std::vector<WorkerInfo> Core::workers() {
    std::vector<WorkerInfo> all;
    for (auto& site : sites_)
        for (WorkerInfo& info : site->worker_infos()) all.push_back(std::move(info));
    return all;
}

void Core::run(const task::Descriptor& descriptor, std::span<const std::byte> function, const CallInput& input,
               const MapOptions& options, CallOutput& output) {
    struct Counted {
        explicit Counted(Core& core) : core_(core) {
            std::lock_guard lock(core_.calls_mutex_);
            core_.check_open();
            ++core_.calls_;
        }
        ~Counted() {
            std::lock_guard lock(core_.calls_mutex_);
            --core_.calls_;
            core_.calls_changed_.notify_all();
        }
        Core& core_;
    } counted(*this);
    if (input.count == 0) return;
    if (input.count > max_items) throw std::invalid_argument("Pool: more than 2^40 items in one call");

    const Function packed = Function::pack(descriptor, function);
    const Items items{0, input.count, input.bytes, input.ends, descriptor.item_size, true};
    const auto workers = static_cast<std::uint64_t>(size_);
    const JobOptions job{options.chunksize, (input.count + 4 * workers - 1) / (4 * workers), false};
    CallSink sink(output, input.count, descriptor.result_size, own_ == nullptr);
    const bool fail_fast = options.on_error == OnError::fail_fast;
    if (own_ != nullptr)
        run_here(packed, items, job, sink, fail_fast);
    else
        run_on_sites(packed, items, job, sink, fail_fast);
    sink.settle();
}

void Core::run_here(const Function& function, const Items& items, const JobOptions& options, CallSink& sink, bool fail_fast) {
    const Engine::FunctionId id = own_->add_function(function);
    struct Forget {
        Engine& engine;
        Engine::FunctionId id;
        ~Forget() { engine.forget(id); }
    } forget{*own_, id};
    bool over = false;
    const Engine::JobId job = own_->add_job(id, function.result_size, items, options, sink, [&] { over = true; });
    own_->drive([&] { return over || (fail_fast && sink.any_failed()); });
    // With fail_fast, items that run now may still end, but nobody looks: the sink is let go at once.
    own_->cancel(job, true);
}

namespace {

// A batch that was given to a site.
struct Batch {
    Site* site;
    std::uint64_t id = 0;
    std::vector<std::uint64_t> ends;
    bool over = false;  // under the sink's mutex
};

// The items [begin, end) as items of their own; their table of ends, where they have one, is rebased into `ends`.
Items part_of(const Items& items, std::uint64_t begin, std::uint64_t end, std::vector<std::uint64_t>& ends) {
    Items part = items;
    part.first = begin;
    part.count = end - begin;
    part.bytes = items.part(begin, end).data();
    if (items.ends != nullptr) {
        const std::uint64_t base = begin == 0 ? 0 : items.ends[begin - 1];
        for (std::uint64_t i = begin; i < end; ++i) ends.push_back(items.ends[i] - base);
        part.ends = ends.data();
    }
    return part;
}

// A function that is known to all sites, until this goes.
class KnownToSites {
  public:
    KnownToSites(std::vector<std::unique_ptr<Site>>& sites, const Function& function) {
        for (auto& site : sites) known_.emplace_back(site.get(), site->add_function(function));
    }
    ~KnownToSites() {
        for (const auto& [site, id] : known_) site->forget(id);
    }
    KnownToSites(const KnownToSites&) = delete;
    KnownToSites& operator=(const KnownToSites&) = delete;
    const std::vector<std::pair<Site*, std::uint64_t>>& all() const { return known_; }

  private:
    std::vector<std::pair<Site*, std::uint64_t>> known_;
};

}  // namespace

std::uint64_t Core::batch_size(const Site& site, const Items& items, const JobOptions& options, std::uint64_t next) const {
    // A batch is copied into a message: it must not be all of a large input at once.
    constexpr std::size_t most_bytes = std::size_t{16} << 20;
    const auto here = static_cast<std::uint64_t>(site.workers());
    const std::uint64_t remaining = items.count - next;
    const std::uint64_t fair = remaining * here / (4 * static_cast<std::uint64_t>(size_));
    std::uint64_t count = std::min(remaining, std::max(fair, here * std::max<std::uint64_t>(1, options.chunk)));
    while (count > 1 && items.part(next, next + count).size() > most_bytes) count /= 2;
    return count;
}

void Core::run_on_sites(const Function& function, const Items& items, const JobOptions& options, CallSink& sink,
                        bool fail_fast) {
    constexpr std::size_t prefetch = 2;
    const KnownToSites known(sites_, function);
    std::vector<std::unique_ptr<Batch>> batches;
    std::uint64_t next = 0;
    bool dropped = false;
    std::exception_ptr refused;

    std::unique_lock lock(sink.mutex);
    for (;;) {
        std::erase_if(batches, [](const auto& batch) { return batch->over; });
        if (!dropped && (refused || (fail_fast && sink.any_failed()))) {
            dropped = true;
            lock.unlock();
            for (const auto& batch : batches) batch->site->cancel(batch->id);
            lock.lock();
            continue;
        }
        const auto hungry = std::find_if(known.all().begin(), known.all().end(), [&](const auto& entry) {
            return static_cast<std::size_t>(std::count_if(batches.begin(), batches.end(), [&](const auto& batch) {
                       return batch->site == entry.first;
                   })) < prefetch;
        });
        if (dropped || next == items.count || hungry == known.all().end()) {
            if (batches.empty()) break;  // dropped, or all given and all over
            sink.changed.wait(lock);
            continue;
        }
        const std::uint64_t begin = next;
        next += batch_size(*hungry->first, items, options, begin);
        batches.push_back(std::make_unique<Batch>());
        Batch& batch = *batches.back();
        batch.site = hungry->first;
        const Items part = part_of(items, begin, next, batch.ends);
        lock.unlock();  // the site may answer at once
        try {
            batch.id = batch.site->give(hungry->second, function.result_size, part, options, sink, [&sink, &batch] {
                std::lock_guard guard(sink.mutex);
                batch.over = true;
                sink.changed.notify_all();
            });
        } catch (...) {
            refused = std::current_exception();
            batch.over = true;  // never given
        }
        lock.lock();
    }
    if (refused) std::rethrow_exception(refused);
}

}  // namespace rankpool::pool
