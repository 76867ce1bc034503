#include "pool/engine.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <csignal>

#include "os/blocked_signals.hpp"
#include "os/cgroup.hpp"
#include "os/coarse_clock.hpp"
#include "os/failure.hpp"
#include "pool/engine_parts.hpp"
#include "os/host_name.hpp"
#include "pool/shared_heap.hpp"
#include "pool/worker.hpp"
#include <rankpool/comm/transport.hpp>
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::pool {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Input of this size or more is read by the workers where it lies; smaller input is copied into the arena.
constexpr std::size_t single_copy_bytes = std::size_t{64} << 10;

// Who waits for workers looks after them so long after the last news, and then less and less often.
constexpr std::chrono::nanoseconds shortest_quiet = 2500us, longest_quiet = 1s;

// Workers that were sent a signal which they may handle have this long to end.
constexpr auto grace = 5s;

std::size_t ring_bytes_for(int workers) {
    constexpr std::size_t all = std::size_t{32} << 20;
    const std::size_t share = std::bit_floor(all / static_cast<std::size_t>(std::max(1, workers)));
    return std::clamp<std::size_t>(share, std::size_t{64} << 10, std::size_t{4} << 20);
}

os::UniqueFd create_control() {
    const std::size_t bytes = os::whole_pages(sizeof(ControlBlock));
    os::UniqueFd fd = os::create_memory("rankpool-control", bytes);
    os::reserve_memory(fd.get(), 0, bytes);
    return fd;
}

}  // namespace

Engine::Engine(EngineOptions options)
    : options_(std::move(options)),
      host_(os::host_name()),
      control_fd_(create_control()),
      control_mapping_(control_fd_.get(), 0, os::whole_pages(sizeof(ControlBlock)), os::Mapping::Access::read_write),
      control_(*reinterpret_cast<ControlBlock*>(control_mapping_.data())),
      ring_bytes_(ring_bytes_for(options_.workers)),
      patience_(shm::Patience::for_runners(options_.workers + 1, options_.cpus)),
      quiet_(shortest_quiet),
      probe_word_(probe_value),
      server_(process::ForkServer::instance()),
      mail_(std::make_shared<Mail>()),
      memory_kills_() {
    memory_kills_.before = memory_kills_.last = os::memory_pressure().kills;
    memory_kills_.looked = os::coarse_now();
    mail_->control = &control_;
    for (int i = 0; i < options_.workers; ++i) {
        workers_.push_back(std::make_unique<Worker>());
        workers_.back()->index = i;
        workers_.back()->seat = &options_.seats[static_cast<std::size_t>(i)];
    }
    try {
        for (auto& worker : workers_) start_worker(*worker);
    } catch (...) {
        end();  // those that were started know this engine
        throw;
    }
    // Their pids are part of what workers() tells, and a machine without room for them should say so now.
    drive([&] { return broken_ || std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->started; }); });
}

Engine::~Engine() { end(); }

void Engine::end() {
    const auto all_gone = [&] { return std::none_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->alive; }); };
    if (kill_from_) drive(all_gone, kill_from_);
    terminate(std::make_exception_ptr(CancelledError("the pool was destroyed before this work was done")));
    drive(all_gone, Clock::now() + 30s);
    {
        std::lock_guard lock(mutex_);
        stop_service_ = true;
    }
    wake();
    if (service_.joinable()) service_.join();
    std::lock_guard lock(mail_->mutex);
    mail_->control = nullptr;
}

// ---- work ----

Engine::FunctionId Engine::add_function(const Function& function) {
    std::lock_guard lock(mutex_);
    KeptFunction kept{ArenaBlock(arena_, function.bytes.size()), function.bytes.size()};
    wire::copy_bytes(kept.block.data(), function.bytes.data(), function.bytes.size());
    const FunctionId id = next_id_++;
    functions_.emplace(id, std::move(kept));
    return id;
}

void Engine::forget(FunctionId function) {
    std::lock_guard lock(mutex_);
    const auto kept = functions_.find(function);
    if (kept == functions_.end()) return;
    kept->second.forgotten = true;
    if (kept->second.jobs == 0) functions_.erase(kept);
}

// What items take in the arena, with the table of their ends behind them where they are serialized. Small ones lie behind
// their job's block, with which they come to a worker's CPU.
struct Engine::Staged {
    explicit Staged(const Items& all_items)
        : items((all_items.byte_count() + Arena::alignment - 1) / Arena::alignment * Arena::alignment),
          ends(all_items.ends != nullptr ? all_items.count * sizeof(std::uint64_t) : 0) {}
    std::size_t all() const { return items + ends; }
    std::size_t behind_block() const { return all() <= largest_small ? all() : 0; }

    static constexpr std::size_t largest_small = 1024;
    std::size_t items, ends;
};

// Where the workers find the items and leave the results.
void Engine::place(Job& job, JobBlock& block, const Items& items, const Staged& staged) {
    const SharedHeap* heap = SharedHeap::if_used();
    if (heap != nullptr && job.result_size > 0 && job.options.rows != nullptr) {
        const std::span results(job.options.rows + items.first * job.result_size, static_cast<std::size_t>(items.count) * job.result_size);
        // Items that may be run again must not have been overwritten: such results go by way of the ring.
        const bool over_items = comm::overlap(results, {items.bytes, static_cast<std::size_t>(block.item_bytes)});
        if (!over_items) block.results = heap->find(results.data(), results.size()).value_or(JobBlock::nowhere);
    }
    const bool rows = items.ends == nullptr && items.stays;
    const auto in_heap = heap != nullptr && rows ? heap->find(items.bytes, block.item_bytes) : std::nullopt;
    job.in_place = in_heap || block.results != JobBlock::nowhere;
    const bool readable = std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->alive && w->segment->page().single_copy == 1; });
    if (in_heap) {
        block.mode = InputMode::heap;
        block.items = *in_heap;
    } else if (rows && readable && block.item_bytes >= single_copy_bytes) {
        block.mode = InputMode::single_copy;
        block.items = reinterpret_cast<std::uint64_t>(items.bytes);
    } else {
        block.items = job.block.offset() + sizeof(JobBlock);
        if (staged.behind_block() == 0) {
            job.items = ArenaBlock(arena_, staged.all());
            block.items = job.items.offset();
        }
        wire::copy_bytes(arena_.at(block.items), items.bytes, block.item_bytes);
        if (items.ends == nullptr) return;
        block.ends = block.items + staged.items;
        wire::copy_bytes(arena_.at(block.ends), items.ends, staged.ends);
    }
}

Engine::JobId Engine::add_job(FunctionId function, std::uint32_t result_size, const Items& items, JobOptions options,
                              Sink& sink, std::function<void()> over) {
    std::lock_guard lock(mutex_);
    if (broken_) std::rethrow_exception(broken_);
    auto job = std::make_unique<Job>(next_id_++, function, result_size, items.first, items.count, options, sink, std::move(over));
    KeptFunction& kept = functions_.at(function);
    const Staged staged(items);
    job->block = ArenaBlock(arena_, sizeof(JobBlock) + staged.behind_block());
    JobBlock& block = *new (job->block.data()) JobBlock;
    block.id = job->id;
    block.function_id = function;
    block.function_offset = kept.block.offset();
    block.function_bytes = kept.bytes;
    block.first = items.first;
    block.count = items.count;
    block.item_size = items.item_size;
    block.item_bytes = items.byte_count();
    block.wanted_late = options.wanted_late ? 1 : 0;
    place(*job, block, items, staged);
    ++kept.jobs;
    const JobId id = job->id;
    pending_.push_back({id, items.first, items.first + items.count, false});
    jobs_.emplace(id, std::move(job));
    publish_waiting();
    finish_jobs();  // a job of nothing is over at once
    return id;
}

bool Engine::cancel(JobId id, bool at_once) {
    std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) return false;
    Job& job = *found->second;
    at_once = at_once && !job.in_place;
    if (at_once) job.sink = nullptr;
    withdraw(job);
    retire_ranges();
    finish_jobs();
    return at_once;
}

bool Engine::has_begun(JobId id) {
    std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    return found == jobs_.end() || !untouched(*found->second, false);
}

bool Engine::take_back(JobId id) {
    std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) return false;
    Job& job = *found->second;
    if (!untouched(job, true)) return false;
    job.sink = nullptr;
    withdraw(job);
    retire_ranges();
    finish_jobs();
    return true;
}

// Whether all of a job's items lie in one range that no worker has claimed from. With `keep_so` none can any more.
bool Engine::untouched(const Job& job, bool keep_so) {
    const std::uint64_t first = job.block_of().first, last = first + job.block_of().count;
    for (const PendingRange& range : pending_)
        if (range.job == job.id) return range.begin == first && range.end == last && !job.touched;
    for (const auto& [sequence, of] : open_ranges_) {
        if (of != job.id) continue;
        Range& range = control_.ranges[sequence % range_places];
        std::uint64_t unclaimed = sequence << index_bits | first;
        if (range.end.load(std::memory_order_relaxed) != last || job.touched) return false;
        if (!keep_so) return range.claim.load(std::memory_order_seq_cst) == unclaimed;
        return range.claim.compare_exchange_strong(unclaimed, sequence << index_bits | index_mask, std::memory_order_seq_cst);
    }
    return false;
}

void Engine::drain_job(JobId id) {
    std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) return;
    Job& job = *found->second;
    withdraw(job);  // before anything is told: what one item does about it must not let another begin
    job.block_of().draining.store(1, std::memory_order_release);
    retire_ranges();
    finish_jobs();
}

void Engine::withdraw(Job& job) {
    job.cancelled = true;
    std::erase_if(pending_, [&](const PendingRange& range) { return range.job == job.id; });
    for (const auto& [sequence, of] : open_ranges_)
        if (of == job.id) {
            Range& range = control_.ranges[sequence % range_places];
            range.end.store(0, std::memory_order_seq_cst);
            range.claim.fetch_or(index_mask, std::memory_order_seq_cst);  // also from whoever has seen the old end
        }
    // seq_cst: the caller's memory may go after this; pairs with the worker's look behind its copy of the input.
    job.block_of().dropped.store(1, std::memory_order_seq_cst);
}

void Engine::publish_waiting() {
    bool any = false;
    while (!pending_.empty()) {
        const std::uint64_t sequence = control_.published.load(std::memory_order_relaxed);
        if (sequence - control_.retired.load(std::memory_order_relaxed) >= range_places) break;
        const PendingRange wanted = pending_.front();
        pending_.pop_front();
        const auto found = jobs_.find(wanted.job);
        if (found == jobs_.end() || wanted.begin >= wanted.end) continue;
        const Job& job = *found->second;
        Range& range = control_.ranges[sequence % range_places];
        const std::uint64_t tag = sequence << index_bits;
        range.claim.store(tag | index_mask, std::memory_order_seq_cst);  // everything taken, see control.hpp
        range.end.store(wanted.end, std::memory_order_relaxed);
        range.job.store(job.id, std::memory_order_relaxed);
        range.block.store(job.block.offset(), std::memory_order_relaxed);
        range.function.store(job.function, std::memory_order_relaxed);
        const std::uint64_t bound = job.options.largest_chunk;
        range.chunk.store(static_cast<std::uint32_t>(std::min<std::uint64_t>(job.options.chunk, UINT32_MAX)), std::memory_order_relaxed);
        range.largest.store(static_cast<std::uint32_t>(bound == 0 ? UINT32_MAX : std::min<std::uint64_t>(bound, UINT32_MAX)), std::memory_order_relaxed);
        range.one_by_one.store(wanted.one_by_one ? 1 : 0, std::memory_order_relaxed);
        range.claim.store(tag | wanted.begin, std::memory_order_release);
        open_ranges_.emplace_back(sequence, job.id);
        control_.published.store(sequence + 1, std::memory_order_release);  // pairs with the worker's acquire
        any = true;
    }
    if (any) control_.work.signal();
}

void Engine::retire_ranges() {
    const auto exhausted = [&](std::uint64_t sequence) {
        const Range& range = control_.ranges[sequence % range_places];
        return (range.claim.load(std::memory_order_seq_cst) & index_mask) >= range.end.load(std::memory_order_relaxed);
    };
    while (!open_ranges_.empty() && exhausted(open_ranges_.front().first)) {
        control_.retired.store(open_ranges_.front().first + 1, std::memory_order_release);
        open_ranges_.pop_front();
    }
}

bool Engine::works_on(const Worker& worker, const Job& job) const {
    if (!worker.alive) return false;
    const WorkerState state = worker.state();
    // One that nobody has told the engine of may have done all it took already: its ring is not read before its pid is known.
    if (!worker.started) return state > WorkerState::initializing;
    return state == WorkerState::claiming ||
           (state == WorkerState::working && worker.segment->page().job.load(std::memory_order_relaxed) == job.id);
}

bool Engine::nobody_works_on(const Job& job) const {
    return std::none_of(workers_.begin(), workers_.end(), [&](const auto& worker) { return works_on(*worker, job); });
}

void Engine::finish(Job& job) {
    const auto kept = functions_.find(job.function);
    if (kept != functions_.end() && --kept->second.jobs == 0 && kept->second.forgotten) functions_.erase(kept);
    if (job.sink != nullptr && job.over) job.over();
}

void Engine::finish_jobs() {
    std::vector<JobId> left;  // cancelled ones that no worker works on any more
    for (const auto& entry : jobs_) {
        const Job& job = *entry.second;
        if (!broken_ && job.cancelled && nobody_works_on(job)) left.push_back(job.id);
    }
    // What the workers sent before they left them may have arrived since the rings were read.
    for (auto& worker : workers_)
        if (!left.empty() && worker->alive && worker->started) drain(*worker);
    for (auto job = jobs_.begin(); job != jobs_.end();) {
        Job& now = *job->second;
        // After an early end somebody may still be at work in the program's memory.
        bool over = now.coverage.complete();
        if (broken_ && now.in_place)
            over = nobody_works_on(now);
        else if (!broken_ && now.cancelled)
            over = std::find(left.begin(), left.end(), now.id) != left.end();
        if (!over) {
            ++job;
            continue;
        }
        finish(now);
        job = jobs_.erase(job);
    }
}

// ---- driving ----

bool Engine::drive(const std::function<bool()>& done, std::optional<Clock::time_point> until, Role role) {
    // A caller that comes back soon finds the engine free: a service waits this long before it takes over again.
    constexpr auto linger = 1ms;
    std::unique_lock lock(mutex_);
    struct Caller {
        Engine& engine;
        bool counted;
        Caller(Engine& e, bool c) : engine(e), counted(c) { engine.callers_ += counted ? 1 : 0; }
        ~Caller() {
            if (!counted) return;
            --engine.callers_;
            if (engine.serviced_) engine.caller_left_ = Clock::now();  // a look at the clock for nothing else
        }
    } caller(*this, role == Role::caller);
    if (role == Role::service) serviced_ = true;
    while (!done()) {
        if (until && Clock::now() >= *until) {
            watch_time();
            return false;
        }
        const bool give_way = role == Role::service && (callers_ > 0 || Clock::now() - caller_left_ < linger);
        if (driving_ || give_way) {
            if (role == Role::service) {
                sleeping_service_ = &done;
                service_turn_.wait_until(lock, Clock::now() + linger);
                sleeping_service_ = nullptr;
                continue;
            }
            control_.doorbell.signal();  // should a service be asleep in it
            ++waiting_;
            if (until)
                turn_.wait_until(lock, *until);
            else
                turn_.wait(lock);
            --waiting_;
            continue;
        }
        driving_ = true;
        const auto ticket = control_.doorbell.ticket();
        const bool moved = advance();
        if (!moved && !done()) {
            // A worker that has reported a moment ago leaves what comes next for later, and may then be busy for long.
            std::chrono::nanoseconds limit = jobs_.empty() ? longest_quiet : quiet_;
            if (options_.task_timeout.count() > 0 && !jobs_.empty())
                limit = std::clamp<std::chrono::nanoseconds>(options_.task_timeout / 8, 1ms, 50ms);
            if (std::any_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->halted.has_value(); })) limit = 1ms;
            if (until) limit = std::min<std::chrono::nanoseconds>(limit, *until - Clock::now());
            lock.unlock();
            // A service has no result to be quick for.
            const bool rung = control_.doorbell.wait(ticket, role == Role::service ? shm::Patience{} : patience_, limit);
            lock.lock();
            quiet_ = rung ? shortest_quiet : std::min(4 * quiet_, longest_quiet);
        }
        driving_ = false;
        if (waiting_ > 0) turn_.notify_all();
        if (sleeping_service_ != nullptr && (*sleeping_service_)()) service_turn_.notify_one();
    }
    watch_time();  // nobody may look again for long: who was halted and is not late goes on
    return true;
}

void Engine::start_service() {
    std::lock_guard lock(mutex_);
    if (service_.joinable()) return;
    const os::BlockedSignals blocked;
    service_ = std::thread([this] { drive([this] { return stop_service_; }, std::nullopt, Role::service); });
}

void Engine::wake() { control_.doorbell.signal(); }

void Engine::watch_memory() {
    const auto now = os::coarse_now();
    if (now - memory_kills_.looked < 1s) return;
    memory_kills_.before = memory_kills_.last;
    memory_kills_.last = os::memory_pressure().kills;
    memory_kills_.looked = now;
}

bool Engine::advance() {
    open_mail();
    bool moved = false;
    for (auto& worker : workers_)
        if (worker->alive && worker->started &&  // before its pid is known nobody could say who it was
            worker->segment->page().ring.tail.load(std::memory_order_relaxed) != worker->segment->page().ring.head.load(std::memory_order_relaxed)) {
            drain(*worker);
            moved = true;
        }
    for (auto& entry : jobs_)
        if (std::exchange(entry.second->delivered, false) && entry.second->sink != nullptr) entry.second->sink->pause();
    watch_time();
    watch_memory();
    retire_ranges();
    if (check_orphans_) find_orphans();
    publish_waiting();
    finish_jobs();
    return moved;
}

void Engine::drain(Worker& worker) {
    if (!worker.fault.empty()) return;
    try {
        worker.ring->drain([&](const ReceivedFrame& frame) { take(worker, frame); });
    } catch (const Error& error) {
        // Its memory is not to be trusted any more; the items it had are treated as those of any dead worker.
        worker.fault = error.what();
        server_->kill(worker.child, SIGKILL);
    }
}

void Engine::take(Worker& worker, const ReceivedFrame& frame) {
    const Frame& header = frame.header;
    if (header.kind == FrameKind::initializer_error) {
        const std::exception_ptr error = wire::decode_exception(frame.payload, {"", std::nullopt, {}, ""});  // the text names the worker
        return break_down(std::make_exception_ptr(
            BrokenProcessPool("the pool's initializer failed in " + describe(worker) + ": " + wire::describe_for_people(error))));
    }
    const auto found = jobs_.find(header.job);
    if (found == jobs_.end()) return;  // cancelled, and nobody wants it any more
    Job& job = *found->second;
    if (!job.coverage.inside(header.first, header.count)) throw Error("a worker sent results for items that do not exist");
    const auto deliver_fixed = [&](std::uint64_t first, std::uint64_t count) {
        if (job.sink != nullptr) job.sink->fixed(first, count, frame.payload.data() + (first - header.first) * job.result_size);
    };
    switch (header.kind) {
        case FrameKind::fixed: {
            if (job.result_size == 0 || header.bytes != header.count * job.result_size)
                throw Error("a worker sent results of the wrong size");
            if (job.coverage.count(header.first, header.count) == 0) {
                deliver_fixed(header.first, header.count);
            } else {
                for (std::uint64_t i = header.first; i < header.first + header.count; ++i)
                    if (!job.coverage.has(i)) deliver_fixed(i, 1);
            }
            break;
        }
        case FrameKind::placed:
            if (header.bytes != 0 || job.block_of().results == JobBlock::nowhere) throw Error("a worker sent results of the wrong kind");
            deliver_placed(job, header.first, header.count);
            return;
        case FrameKind::value:
            if (job.result_size != 0 || header.count != 1) throw Error("a worker sent a result of the wrong kind");
            if (!job.coverage.has(header.first) && job.sink != nullptr) job.sink->value(header.first, frame.payload);
            break;
        case FrameKind::values: {
            if (job.result_size != 0) throw Error("a worker sent results of the wrong kind");
            values_.clear();
            auto rest = frame.payload;
            for (std::uint64_t i = 0; i < header.count; ++i) {
                const auto value = take_value(rest);
                if (!value) throw Error("a worker sent a damaged frame of results");
                values_.push_back(*value);
            }
            deliver_values(job, header.first, values_);
            return;
        }
        case FrameKind::error:
            if (header.count != 1) throw Error("a worker sent an error of the wrong kind");
            if (!job.coverage.has(header.first) && job.sink != nullptr)
                job.sink->failed(header.first, {{frame.payload.begin(), frame.payload.end()}, info(worker)});
            break;
        default: throw Error("a worker sent something unknown");
    }
    job.coverage.add(header.first, header.count);
    job.delivered = true;
}

void Engine::deliver_placed(Job& job, std::uint64_t first, std::uint64_t count) {
    if (job.coverage.count(first, count) == 0) {
        job.coverage.add(first, count);
        if (job.sink != nullptr) job.sink->placed(first, count);
        return;
    }
    for (std::uint64_t i = first; i < first + count; ++i)
        if (job.coverage.add(i, 1) == 1 && job.sink != nullptr) job.sink->placed(i, 1);
}

void Engine::deliver_values(Job& job, std::uint64_t first, std::span<const std::span<const std::byte>> all) {
    job.delivered = true;
    if (job.coverage.count(first, all.size()) == 0) {
        job.coverage.add(first, all.size());
        if (job.sink != nullptr) job.sink->values(first, all);
        return;
    }
    for (const auto value : all)
        if (job.coverage.add(first++, 1) == 1 && job.sink != nullptr) job.sink->value(first - 1, value);
}

void Engine::terminate(const std::exception_ptr& why, int signal) {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
        if (signal != SIGKILL && !kill_from_) kill_from_ = Clock::now() + grace;
        control_.stop.store(1, std::memory_order_seq_cst);  // before the signal: a worker looks when it arrives
        break_down(why, signal);
    }
    wake();
}

void Engine::when_broken(std::function<void(const std::exception_ptr&)> tell) {
    std::lock_guard lock(mutex_);
    tell_broken_ = std::move(tell);
    if (broken_ && is_broken_pool(broken_)) tell_broken_(broken_);
}

void Engine::look() {
    std::lock_guard lock(mutex_);
    advance();
}

std::vector<WorkerStats> Engine::stats() {
    look();
    // A worker that is being replaced has its pid in a moment; nobody should be given a 0 for it.
    drive([&] { return broken_ || std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->started; }); }, Clock::now() + 1s);
    std::lock_guard lock(mutex_);
    std::vector<WorkerStats> list;
    for (const auto& worker : workers_) list.push_back(stats_of(*worker));
    return list;
}

}  // namespace rankpool::pool
