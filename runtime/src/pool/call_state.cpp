#include "pool/call_state.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "entry/context.hpp"
#include "observe/progress.hpp"
#include <rankpool/error.hpp>

namespace rankpool::pool {
namespace {

constexpr std::size_t prefetch = 2;
constexpr std::size_t no_site = ~std::size_t{0};

// The items [begin, end) as items of their own; their table of ends, where they have one, is rebased into `ends`.
Items part_of(const Items& items, std::uint64_t begin, std::uint64_t end, std::vector<std::uint64_t>& ends) {
    if (begin == 0 && end == items.count) return items;
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

}  // namespace

Call::Call(std::shared_ptr<Core> core, std::shared_ptr<const KnownFunction> function, const Plan& plan, CallOutput& output,
           std::shared_ptr<void> owner)
    : core_(std::move(core)),
      pool_(core_->number()),
      function_(std::move(function)),
      plan_(plan),
      output_(output),
      owner_(std::move(owner)),
      sink_(output, static_cast<std::size_t>(plan.items.count), function_->result_size()) {
    work_.emplace(core_);
    left_ = plan_.items.count;
    stretches_ = {{0, left_}};
    if (plan_.checkpoint) {
        plan_.checkpoint->restore(sink_, [this] {
            std::lock_guard lock(sink_.mutex);
            end_locked();  // finish() has the error
        });
        sink_.checkpoint = plan_.checkpoint.get();
        stretches_ = plan_.checkpoint->missing();
        std::reverse(stretches_.begin(), stretches_.end());
        left_ -= plan_.checkpoint->restored();
        draining_word_ = std::make_shared<std::atomic<std::uint32_t>>(0);
        plan_.options.draining = draining_word_;
    }
    if (plan_.attended) {
        core_->need_service();
        sink_.on_failure = [this] {
            if (plan_.options.fail_fast) core_->attend(shared_from_this());
        };
    } else {
        sink_.on_failure = [this] { changed_.notify_all(); };
    }
}

void Call::start() {
    if (plan_.checkpoint && entry::in_run()) drain_guard_.emplace(weak_from_this(), plan_.until);
    handle();
}

bool Call::over() const {
    auto& self = const_cast<Call&>(*this);
    std::lock_guard lock(self.sink_.mutex);
    return over_;
}

bool Call::settled_locked() const {
    return batches_.empty() && (dropped_ || left_ == 0);
}

bool Call::wants_dropping_locked() const {
    return !dropped_ && (refused_ || ending_ || sink_.rest_has_failed() || (plan_.options.fail_fast && sink_.any_failed()));
}

bool Call::wants_batch_locked() const {
    return !dropped_ && left_ > 0 && hungry_site_locked() != no_site;
}

std::size_t Call::hungry_site_locked() const {
    // The one with the fewest batches: none gets its second before every one has its first. Among equals the one with the
    // least to do for other calls.
    std::size_t hungriest = no_site, fewest = ~std::size_t{0};
    double lightest = 0;
    for (std::size_t site = 0; site < core_->sites().size(); ++site) {
        std::size_t given = 0;
        std::uint64_t items = 0;
        for (const auto& batch : batches_) {
            if (batch->site != site) continue;
            ++given;
            items += batch->count;
        }
        // The gaps of a journal may be short: then more of them, so that no worker is without one.
        const bool hungry = given < prefetch || items < prefetch * static_cast<std::uint64_t>(core_->sites()[site]->workers());
        const double load = static_cast<double>(core_->sites()[site]->load) / core_->sites()[site]->workers();
        if (!hungry || given > fewest || (given == fewest && load >= lightest)) continue;
        hungriest = site;
        fewest = given;
        lightest = load;
    }
    return hungriest;
}

std::uint64_t Call::batch_size(std::size_t site) const {
    const auto [next, end] = stretches_.back();
    const std::uint64_t together = end - next;
    if (core_->sites().size() == 1) return together;
    // A batch is copied into a message: it must not be all of a large input at once.
    constexpr std::size_t most_bytes = std::size_t{16} << 20;
    const auto here = static_cast<std::uint64_t>(core_->sites()[site]->workers());
    const std::uint64_t fair = left_ * here / (4 * static_cast<std::uint64_t>(core_->size()));
    std::uint64_t count = std::min(together, std::max(fair, here * std::max<std::uint64_t>(1, plan_.options.chunk)));
    while (count > 1 && plan_.items.part(next, next + count).size() > most_bytes) count /= 2;
    return count;
}

void Call::batch_over(Batch& batch) {
    // The call may be over, and gone, as soon as the lock is released.
    const auto self = shared_from_this();
    std::lock_guard guard(sink_.mutex);
    batch.over = true;
    std::erase_if(batches_, [](const auto& each) { return each->over && each->known; });
    changed_.notify_all();
    if (plan_.attended && !over_) core_->attend(self);
}

void Call::give(std::size_t site, std::unique_lock<std::mutex>& lock) {
    const std::uint64_t begin = stretches_.back().begin, end = begin + batch_size(site);
    left_ -= end - begin;
    stretches_.back().begin = end;
    if (end == stretches_.back().end) stretches_.pop_back();
    auto owned = std::make_unique<Batch>(site, *core_->sites()[site], end - begin);
    Batch& batch = *owned;
    const Items part = part_of(plan_.items, begin, end, batch.ends);
    batches_.push_back(std::move(owned));
    lock.unlock();  // the site may answer at once
    std::uint64_t id = 0;
    std::exception_ptr refused;
    try {
        id = core_->sites()[site]->give(function_->at(site), function_->result_size(), part, plan_.options, sink_,
                                        [this, &batch] { batch_over(batch); });
    } catch (...) {
        refused = std::current_exception();
    }
    lock.lock();
    batch.id = id;
    batch.known = true;
    if (refused) {
        refused_ = refused;
        batch.over = true;  // never given
    }
    std::erase_if(batches_, [](const auto& each) { return each->over && each->known; });
}

void Call::drop(std::unique_lock<std::mutex>& lock) {
    dropped_ = true;
    std::vector<std::pair<std::size_t, std::uint64_t>> given;
    for (const auto& batch : batches_) given.emplace_back(batch->site, batch->id);
    const bool draining = draining_;
    lock.unlock();
    if (draining) {  // what runs is awaited, as in every call's end
        for (const auto& [site, batch] : given) core_->sites()[site]->drain(batch);
        lock.lock();
        return;
    }
    std::erase_if(given, [&](const auto& each) { return !core_->sites()[each.first]->cancel(each.second); });
    lock.lock();
    // What is left of `given` is gone. An id means something only together with its site.
    std::erase_if(batches_, [&](const auto& batch) { return std::count(given.begin(), given.end(), std::pair(batch->site, batch->id)) > 0; });
}

void Call::handle() {
    std::unique_lock lock(sink_.mutex);
    if (handling_ || over_) return;
    handling_ = true;
    for (;;) {
        if (wants_dropping_locked())
            drop(lock);
        else if (wants_batch_locked())
            give(hungry_site_locked(), lock);
        else
            break;
    }
    if (settled_locked()) {
        lock.unlock();
        complete();
        return;
    }
    handling_ = false;
    changed_.notify_all();
}

void Call::complete() {
    if (const auto rest = sink_.settle(refused_); rest && is_broken_pool(rest)) core_->break_down(rest);
    if (refused_ && sink_.arrived() == 0) output_.ended = true;  // a pool that takes nothing: no item's error
    if (plan_.checkpoint) finish_checkpoint();
    core_->count_results(sink_.arrived(), sink_.failures(), plan_.checkpoint ? plan_.checkpoint->restored() : 0);
    std::vector<std::function<void()>> callbacks;
    std::shared_ptr<Core> core;
    std::shared_ptr<void> owner;
    std::shared_ptr<const KnownFunction> function;  // its end locks the engine, whose lock comes first
    {
        std::lock_guard lock(sink_.mutex);
        over_ = true;
        callbacks.swap(callbacks_);
        core = std::move(core_);
        owner = std::move(owner_);
        function = std::move(function_);
        changed_.notify_all();
    }
    function.reset();
    if (plan_.attended && core->own() != nullptr) core->own()->wake();  // others may be waiting in it
    for (auto& callback : callbacks) core->call_back(std::move(callback));
    work_.reset();
}

void Call::finish_checkpoint() {
    drain_guard_.reset();  // nobody drains it any more
    std::exception_ptr error;
    try {
        plan_.checkpoint->finish();
    } catch (...) {
        error = std::current_exception();
    }
    if (draining_) {
        const std::string text = drain_reason_ + " ended the call; checkpoint " + plan_.checkpoint->in_words() + ", run the program again to go on";
        std::fprintf(stderr, "rankpool: %s\n", text.c_str());
        std::fflush(stderr);
        if (!error) error = std::make_exception_ptr(CancelledError(text));
    }
    if (!error) return;
    output_.error = error;
    output_.ended = true;
}

// Has whoever looks after the call drop what was not started.
void Call::end_locked() {
    ending_ = true;
    changed_.notify_all();
    if (over_) return;
    if (plan_.attended) core_->attend(shared_from_this());
    if (core_->own() != nullptr) core_->own()->wake();
}

void Call::drain(const std::string& why) {
    std::lock_guard lock(sink_.mutex);
    if (over_ || std::exchange(draining_, true)) return;
    drain_reason_ = why;
    draining_word_->store(1);
    end_locked();
}

void Call::give_up() {
    std::shared_ptr<Core> core;
    {
        std::lock_guard lock(sink_.mutex);
        if (!over_) core = core_;
    }
    if (const auto visit = core ? Core::Work::visit(core) : nullptr) core->terminate();
}

void Call::attend() {
    bool mine;
    {
        std::lock_guard lock(sink_.mutex);
        mine = !over_ && needs_hand_locked();
    }
    if (mine) handle();
}

bool Call::wait(Deadline until) {
    observe::Progress progress(plan_.progress, plan_.items.count, plan_.checkpoint ? plan_.checkpoint->restored() : 0);
    std::unique_lock lock(sink_.mutex);
    if (!over_) core_->check_may_wait("a wait for a result");
    while (!over_) {
        if (until && Clock::now() >= *until) return false;
        if (needs_hand_locked()) {
            lock.unlock();
            handle();
            lock.lock();
            continue;
        }
        Deadline limit = until;
        if (const auto next_look = progress.show(sink_.arrived()); next_look && (!limit || *next_look < *limit)) limit = next_look;
        Engine* engine = core_->own();
        if (engine == nullptr) {
            if (limit)
                changed_.wait_until(lock, *limit);
            else
                changed_.wait(lock);
            continue;
        }
        const auto visit = Core::Work::visit(core_);  // the engine stays while this thread is in it
        lock.unlock();
        engine->drive([&] {
            std::lock_guard guard(sink_.mutex);
            return over_ || needs_hand_locked();
        }, limit);
        lock.lock();
    }
    progress.finish(sink_.arrived());
    return true;
}

void Call::when_over(std::function<void()> then) {
    {
        std::lock_guard lock(sink_.mutex);
        if (!over_) {
            callbacks_.push_back(std::move(then));
            return;
        }
    }
    run_callback(pool_, then);
}

// ---- the seam ----

Deadline deadline_after(std::chrono::nanoseconds wait) {
    const auto now = Clock::now();
    if (wait > Clock::time_point::max() - now) return std::nullopt;
    return now + std::max(wait, std::chrono::nanoseconds(0));
}

namespace {

constexpr long long last_second = 9'000'000'000;  // since 1970: the clock counts nanoseconds in 64 bits

// When a call is to be drained so that it is over in time; empty where nobody asked, and outside of Slurm's jobs.
std::optional<DrainGuard::Time> end_of_slurm_job(std::chrono::seconds before) {
    const char* text = std::getenv("SLURM_JOB_END_TIME");
    if (before.count() == 0 || text == nullptr || *text == '\0') return std::nullopt;
    char* end = nullptr;
    errno = 0;
    const long long seconds = std::strtoll(text, &end, 10);
    if (*end != '\0' || errno != 0 || seconds < 0 || seconds > last_second)
        throw std::invalid_argument(std::string("Pool: SLURM_JOB_END_TIME = \"") + text + "\"; expected seconds since 1970");
    return DrainGuard::Time(std::chrono::seconds(seconds)) - before;
}

void check(const MapOptions& options) {
    if (options.stop_before_end.count() < 0 || options.stop_before_end.count() > last_second)
        throw std::invalid_argument("Pool: stop_before_end = " + std::to_string(options.stop_before_end.count()) + " s; expected 0 (not) or more, at most " + std::to_string(last_second) + " s");
    if (options.on_error < OnError::finish_all || options.on_error > OnError::fail_fast)
        throw std::invalid_argument("Pool: on_error = " + std::to_string(static_cast<int>(options.on_error)) + "; expected one of OnError's enumerators");
    if (!options.checkpoint.empty()) return;
    if (!options.checkpoint_tag.empty()) throw std::invalid_argument("Pool: checkpoint_tag = \"" + options.checkpoint_tag + "\" without a checkpoint that it could belong to");
    if (options.stop_before_end.count() > 0) throw std::invalid_argument("Pool: stop_before_end without a checkpoint: what was finished would be lost");
}

Call::Plan make_plan(const Core& core, const task::Descriptor& descriptor, const CallInput& input, const MapOptions& options, const CallOutput& output) {
    check(options);
    if (input.count > max_items) throw std::invalid_argument("Pool: more than 2^40 items in one call");
    Call::Plan plan;
    plan.items = {0, input.count, input.bytes, input.ends, descriptor.item_size, true};
    const auto workers = static_cast<std::uint64_t>(core.size());
    plan.options = {.chunk = options.chunksize, .largest_chunk = (input.count + 4 * workers - 1) / (4 * workers), .rows = output.rows,
                    .wanted_late = output.rows != nullptr && options.checkpoint.empty() && !options.progress,
                    .fail_fast = options.on_error == OnError::fail_fast};
    plan.progress = options.progress;
    if (!options.checkpoint.empty()) {
        plan.until = end_of_slurm_job(options.stop_before_end);
        plan.checkpoint = std::make_shared<Checkpoint>(options, descriptor, plan.items, output.rows, input.refused);
    }
    return plan;
}

}  // namespace

void run_call(const std::shared_ptr<Core>& core, const task::Descriptor& descriptor, std::span<const std::byte> function,
              const CallInput& input, const MapOptions& options, CallOutput& output) {
    core->check_may_wait("a blocking call");
    const Core::Work work(core);
    if (input.count == 0) return core->check_unbroken();
    const auto call = std::make_shared<Call>(core, core->know(descriptor, function), make_plan(*core, descriptor, input, options, output), output, nullptr);
    call->start();
    call->wait(std::nullopt);
}

std::shared_ptr<Call> start_call(const std::shared_ptr<Core>& core, const task::Descriptor& descriptor,
                                 std::span<const std::byte> function, const CallInput& input, const MapOptions& options,
                                 CallOutput& output, std::shared_ptr<void> owner) {
    const Core::Work work(core);
    if (input.count == 0) core->check_unbroken();
    Call::Plan plan = make_plan(*core, descriptor, input, options, output);
    plan.attended = true;
    auto call = std::make_shared<Call>(core, core->know(descriptor, function), plan, output, std::move(owner));
    call->start();
    return call;
}

bool wait_for(Call& call, Deadline until) { return call.wait(until); }
bool is_over(const Call& call) { return call.over(); }
void when_over(Call& call, std::function<void()> then) { call.when_over(std::move(then)); }

}  // namespace rankpool::pool
