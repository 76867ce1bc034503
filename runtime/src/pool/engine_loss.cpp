// The engine's answer to workers that end: what was lost, what is run again, who takes the place. See control.hpp for
// why exactly one item is in doubt.
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>

#include "os/cgroup.hpp"
#include "pool/engine_parts.hpp"
#include "pool/shared_heap.hpp"
#include "pool/worker.hpp"
#include "process/process_state.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {

// A worker that cannot start or initialize is tried this often, then the pool is given up: no endless respawn.
constexpr int start_attempts = 3;
// … but one that a signal ended before it could do anything may have had somebody's attention: that is no fault of its own.
constexpr int killed_attempts = 50;
// So many deaths before the first item of a claim, with nothing done in between, are the call's own fault.
constexpr int fruitless_deaths = 10;
// With a shorter task_timeout, workers that do not move are still looked at no more often than this.
constexpr std::chrono::milliseconds shortest_stop{50};
// What everything unfinished is told, whoever was lost.
const std::string broken_as_asked = "the pool is broken, as OnLoss::break_pool asks: ";
// A worker that does not come to a halt in this time is deep in the kernel, and in no other item.
constexpr std::chrono::seconds longest_halt{1};

// What errors call an item.
std::string name_of(const JobOptions& options, std::uint64_t index) { return options.single ? "a task" : "item " + std::to_string(index); }

std::string in_mebibytes(std::size_t bytes) { return std::to_string((bytes + (1 << 19)) >> 20) + " MiB"; }

}  // namespace

WorkerInfo Engine::info(const Worker& worker) const {
    return {options_.first_index + worker.index, options_.pool_size, worker.pid, host_, worker.seat->rank};
}

std::string Engine::describe(const Worker& worker) const {
    std::string text = "worker " + std::to_string(options_.first_index + worker.index) + " (pid " + std::to_string(worker.pid) + " on " + host_;
    if (worker.seat->rank >= 0) text += ", rank " + std::to_string(worker.seat->rank);
    return text + ")";
}

// Of a worker that has just ended. The kernel's kill for want of memory looks like any other SIGKILL; its counter tells.
std::string Engine::how_it_ended(const Worker& worker, const process::Ended& how) {
    if (how.signal == 0) return "exited with code " + std::to_string(how.exit_code);
    std::string text = "was killed by signal " + std::to_string(how.signal);
    if (const char* name = sigabbrev_np(how.signal)) text += std::string(" (SIG") + name + ")";
    if (how.signal != SIGKILL || !worker.fault.empty() || worker.timed_out) return text;
    const os::MemoryPressure memory = os::memory_pressure();
    if (memory.kills <= memory_kills_.before) return text;
    ++memory_kills_.before;  // one kill is one worker's
    text += " by the kernel, because memory ran out";
    if (!memory.limit) return text + " on the machine";
    text += ": the limit of " + memory.limited_by + " is " + in_mebibytes(*memory.limit);
    if (memory.peak) text += ", the most that was used " + in_mebibytes(*memory.peak);
    return text;
}

// Of all its processes.
WorkerStats Engine::stats_of(const Worker& worker) const {
    WorkerStats stats = worker.past;
    stats.worker = info(worker);
    if (!worker.alive) return stats;
    const WorkerPage& page = worker.segment->page();
    stats.items += page.items.load(std::memory_order_relaxed);
    const std::int64_t busy = page.busy.load(std::memory_order_relaxed);
    stats.busy += std::chrono::nanoseconds(busy < 0 ? busy + std::chrono::steady_clock::now().time_since_epoch().count() : busy);
    return stats;
}

void Engine::start_worker(Worker& worker) {
    if (worker.segment) ++worker.past.restarts;
    ++worker.incarnation;
    worker.pid = 0;
    worker.started = false;
    worker.fault.clear();
    worker.timed_out = false;
    worker.halted.reset();
    worker.ring.reset();
    worker.segment.reset();
    worker.segment_fd = Segment::create(ring_bytes_);
    worker.segment.emplace(worker.segment_fd.get(), ring_bytes_, os::Mapping::Access::read_only);
    worker.ring.emplace(*worker.segment);

    WorkerOrders orders;
    orders.self = info(worker);
    orders.ring_bytes = ring_bytes_;
    orders.workers_here = options_.workers;
    orders.max_tasks = options_.max_tasks_per_child;
    orders.watch_time = options_.task_timeout.count() > 0;
    orders.pool_pid = getpid();
    orders.probe_address = reinterpret_cast<std::uint64_t>(&probe_word_);
    orders.cpus_here = options_.cpus;
    orders.thread_share = static_cast<std::uint64_t>(worker.seat->threads);
    orders.initializer = options_.initializer;

    process::ChildSpec spec;
    spec.self.name = "PoolWorker-" + std::to_string(orders.self.index + 1);
    spec.surroundings = options_.surroundings;
    if (!worker.seat->affinity.empty()) spec.surroundings.affinity = worker.seat->affinity;
    spec.description = orders.to_bytes();
    const SharedHeap& heap = SharedHeap::instance();
    spec.descriptors = {control_fd_.get(), arena_.read_only_fd(), worker.segment_fd.get(), heap.read_only_fd(), heap.fd()};
    const auto mail = mail_;
    const int index = worker.index;
    const std::uint64_t incarnation = worker.incarnation;
    process::ChildEvents events;
    events.started = [=](pid_t pid) { mail->post({index, incarnation, Mail::Event::started, pid, {}, {}}); };
    events.failed = [=](const std::string& why) { mail->post({index, incarnation, Mail::Event::failed, 0, {}, why}); };
    events.ended = [=](process::Ended how) { mail->post({index, incarnation, Mail::Event::ended, 0, how, {}}); };
    try {
        worker.child = server_->spawn(spec, events);
    } catch (const LaunchError&) {
        server_ = process::ForkServer::instance();  // somebody killed it: once more with a new one
        worker.child = server_->spawn(spec, events);
    }
    worker.alive = true;
}

void Engine::open_mail() {
    std::vector<Mail::Event> events;
    {
        std::lock_guard lock(mail_->mutex);
        events.swap(mail_->events);
    }
    for (const Mail::Event& event : events) {
        Worker& worker = *workers_[static_cast<std::size_t>(event.worker)];
        if (event.incarnation != worker.incarnation) continue;
        if (event.kind == Mail::Event::started) {
            worker.pid = event.pid;
            worker.started = true;
        } else if (event.kind == Mail::Event::ended) {
            worker_ended(worker, event.how);
        } else {
            worker.alive = false;
            break_down(std::make_exception_ptr(BrokenProcessPool("a worker process could not be made: " + event.why)));
        }
    }
}

void Engine::worker_ended(Worker& worker, process::Ended how) {
    drain(worker);
    worker.past = stats_of(worker);
    worker.alive = false;
    if (!ending_ && !broken_) settle_loss(worker, how);
    if (ending_ || broken_) return;
    try {
        start_worker(worker);
    } catch (const Error& error) {
        break_down(std::make_exception_ptr(
            BrokenProcessPool(std::string("a worker that ended could not be replaced: ") + error.what())));
    }
}

void Engine::settle_loss(Worker& worker, process::Ended how) {
    check_orphans_ = true;
    const std::string ended = how_it_ended(worker, how);
    const WorkerPage& page = worker.segment->page();
    const WorkerState state = worker.state();
    if (state != WorkerState::leaving && !worker.timed_out) ++worker.past.losses;
    if (state == WorkerState::starting || state == WorkerState::initializing) {
        const int attempts = state == WorkerState::starting && how.signal != 0 ? killed_attempts : start_attempts;
        if (++worker.failed_starts < attempts) return;
        const char* when = state == WorkerState::initializing ? " while it ran the pool's initializer, " : " before it could run anything, ";
        return break_down(std::make_exception_ptr(BrokenProcessPool(describe(worker) + " " + ended + when +
                                                                    std::to_string(attempts) + " times in a row")));
    }
    worker.failed_starts = 0;
    if (state != WorkerState::working) return;
    const auto found = jobs_.find(page.job.load());
    if (found == jobs_.end() || found->second->cancelled) return;
    Job& job = *found->second;
    job.touched = true;
    const std::uint64_t end = page.claimed_end.load(), running = page.running.load();
    if (!job.coverage.inside(running, 0) || end < running || !job.coverage.inside(running, end - running)) return;  // rubbish: the orphan search finds what is missing

    // Finished, in the ring, but not yet handed over.
    const std::uint64_t first = page.frame_first.load();
    if (job.block_of().results != JobBlock::nowhere) {
        if (first < running && job.coverage.inside(first, running - first)) deliver_placed(job, first, running - first);
    } else if (job.result_size > 0 && first < running && job.coverage.inside(first, running - first) && worker.fault.empty()) {
        const auto results = worker.ring->behind_tail((running - first) * job.result_size);
        for (std::uint64_t i = first; i < running && !results.empty(); ++i)
            if (job.coverage.add(i, 1) == 1 && job.sink != nullptr)
                job.sink->fixed(i, 1, results.data() + (i - first) * job.result_size);
        job.delivered = true;
    } else if (job.result_size == 0 && first < running && job.coverage.inside(first, running - first) && worker.fault.empty()) {
        auto rest = worker.ring->behind_tail(values_room(ring_bytes_) - sizeof(Frame));
        std::vector<std::span<const std::byte>> values;
        for (auto value = take_value(rest); value && values.size() < running - first; value = take_value(rest)) values.push_back(*value);
        if (values.size() == running - first) deliver_values(job, first, values);
    }

    const std::uint64_t block = std::min(page.block.load(), end - running);
    if (block == 1 && !job.coverage.has(running)) {
        const std::string who = describe(worker);
        const WorkerInfo where = info(worker);
        const std::string item = name_of(job.options, running);
        if (worker.timed_out) {
            fail_item(job, running, std::make_exception_ptr(TaskTimeout(item + " ran longer than the task_timeout of " +
                std::to_string(std::chrono::duration<double>(options_.task_timeout).count()) + " s; " + who + " was killed and replaced")), where);
        } else {
            std::string text = item + " was lost: " + who + " " + ended + " while running it";
            if (!worker.fault.empty()) text += "; rankpool killed it because " + worker.fault;
            if (options_.on_loss == OnLoss::break_pool)
                return break_down(std::make_exception_ptr(BrokenProcessPool(broken_as_asked + text)));
            if (options_.on_loss == OnLoss::retry && job.losses[running]++ < options_.max_retries)
                give_back(job, running, running + 1, true);
            else
                fail_item(job, running, std::make_exception_ptr(WorkerLost(text, how.signal, how.exit_code, running, where)), where);
        }
    } else if (block > 1) {
        give_back(job, running, running + block, true);  // one of them did it: find out which
    } else if (worker.fault.empty() && !worker.timed_out && without_progress(job)) {
        // Reading the function or the items ends every worker: it would go on for ever.
        const std::string text = describe(worker) + " " + ended + " before it could run " + name_of(job.options, running) + ", like " +
                                 std::to_string(fruitless_deaths - 1) + " others before it: reading the function or its arguments seems to end every worker";
        if (options_.on_loss == OnLoss::break_pool) return break_down(std::make_exception_ptr(BrokenProcessPool(broken_as_asked + text)));
        return fail_rest(job, std::make_exception_ptr(WorkerLost(text, how.signal, how.exit_code, running, info(worker))));
    }
    give_back(job, running + block, end, false);
}

bool Engine::without_progress(Job& job) {
    if (std::exchange(job.done_at_last_death, job.coverage.done()) != job.coverage.done()) job.deaths_without_progress = 0;
    return ++job.deaths_without_progress >= fruitless_deaths;
}

void Engine::fail_rest(Job& job, const std::exception_ptr& error) {
    if (job.sink != nullptr) job.sink->rest_failed(failure_of(error));
    job.coverage.add(job.coverage.first(), job.coverage.end() - job.coverage.first());  // what still arrives is for nobody
    withdraw(job);
}

void Engine::give_back(Job& job, std::uint64_t begin, std::uint64_t end, bool one_by_one) {
    while (begin < end) {
        const auto gap = job.coverage.gap(begin);
        if (gap.begin >= end || gap.begin >= gap.end) return;
        pending_.push_front({job.id, gap.begin, std::min(gap.end, end), one_by_one});
        begin = gap.end;
    }
}

void Engine::fail_item(Job& job, std::uint64_t index, const std::exception_ptr& error, const WorkerInfo& worker) {
    if (job.coverage.add(index, 1) == 0 || job.sink == nullptr) return;
    job.sink->failed(index, failure_of(error, worker));
    job.delivered = true;
}

void Engine::find_orphans() {
    // The order matters: first that every range is taken, then that nobody claims or works. See control.hpp.
    if (!pending_.empty()) return;
    bool all_settled = true;
    for (auto& entry : jobs_) {
        const JobId wanted = entry.first;
        Job* job = entry.second.get();
        const bool claimable = std::any_of(open_ranges_.begin(), open_ranges_.end(), [&](const auto& open) {
            if (open.second != wanted) return false;
            const Range& range = control_.ranges[open.first % range_places];
            return (range.claim.load(std::memory_order_seq_cst) & index_mask) < range.end.load(std::memory_order_relaxed);
        });
        const bool busy = claimable || std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) { return works_on(*worker, *job); });
        if (busy) {
            all_settled = false;
            continue;
        }
        // What the workers sent before they became idle may have arrived since the rings were read.
        for (auto& worker : workers_)
            if (worker->alive && worker->started) drain(*worker);
        if (broken_) return;  // one of them had bad news, and the jobs are gone
        if (!job->cancelled) give_back(*job, job->coverage.first(), job->coverage.end(), false);
    }
    if (all_settled && pending_.empty()) check_orphans_ = false;
}

void Engine::watch_time() {
    if (options_.task_timeout.count() <= 0) return;
    const auto now = std::chrono::steady_clock::now();
    for (auto& worker : workers_) {
        if (!worker->alive || worker->timed_out) continue;
        // The item may end before a signal arrives, and the kill would hit the next one. So the worker is halted first,
        // and judged when it stands still; a signal that cannot halt it for so long is given up.
        const bool stands = worker->halted && (process::is_stopped(worker->pid) || now - *worker->halted > longest_halt);
        if (is_overdue(*worker, worker->halted.value_or(now))) {  // the time it is halted is not the item's
            if (!worker->halted) {
                worker->halted = now;
                server_->kill(worker->child, SIGSTOP);
            }
            if (!stands) continue;
        } else if (worker->halted) {
            worker->halted.reset();
            server_->kill(worker->child, SIGCONT);
            continue;
        } else if (!stays_stopped(*worker, now)) {
            continue;
        }
        worker->timed_out = true;
        server_->kill(worker->child, SIGKILL);
    }
}

bool Engine::is_overdue(const Worker& worker, std::chrono::steady_clock::time_point now) const {
    if (worker.state() != WorkerState::working) return false;
    const WorkerPage& page = worker.segment->page();
    const std::uint64_t running = page.running.load(std::memory_order_acquire);
    if (page.block.load(std::memory_order_acquire) == 0) return false;
    const std::int64_t since = page.since.load(std::memory_order_relaxed);
    if (since == not_timed || now.time_since_epoch().count() - since <= options_.task_timeout.count()) return false;
    return page.running.load(std::memory_order_acquire) == running;
}

// Somebody may stop a worker that runs no item (SIGSTOP): it would keep what it has taken, and the orphan search, waiting.
// That it does not move is seen here; that it is stopped, and not just idle or reading its input, in /proc.
bool Engine::stays_stopped(Worker& worker, std::chrono::steady_clock::time_point now) const {
    if (!worker.started || jobs_.empty()) return false;
    const WorkerPage& page = worker.segment->page();
    const std::array<std::uint64_t, 3> seen{page.state.load(std::memory_order_relaxed), page.job.load(std::memory_order_relaxed),
                                            page.running.load(std::memory_order_relaxed)};
    if (std::exchange(worker.seen, seen) != seen) worker.seen_since = now;
    if (now - worker.seen_since < std::max<std::chrono::nanoseconds>(options_.task_timeout, shortest_stop)) return false;
    worker.seen_since = now;  // the next look is due as late as this one
    return process::is_stopped(worker.pid);
}

void Engine::break_down(const std::exception_ptr& why, int signal) {
    const bool first = !broken_;
    if (first) broken_ = why;
    if (first && tell_broken_ && is_broken_pool(why)) tell_broken_(why);
    pending_.clear();
    for (const auto& [sequence, job] : open_ranges_)
        control_.ranges[sequence % range_places].end.store(0, std::memory_order_seq_cst);
    for (auto& worker : workers_)
        if (worker->alive) server_->kill(worker->child, signal);
    const Failure broken = failure_of(broken_);
    for (auto& [id, job] : jobs_) {
        if (job->coverage.complete()) continue;
        job->block_of().dropped.store(1, std::memory_order_seq_cst);
        if (job->sink != nullptr) job->sink->rest_failed(broken);
        job->coverage.add(job->coverage.first(), job->coverage.end() - job->coverage.first());
    }
    retire_ranges();
    finish_jobs();
    if (waiting_ > 0) turn_.notify_all();
}

}  // namespace rankpool::pool
