#include "pool/worker.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>

#include "os/coarse_clock.hpp"
#include "os/failure.hpp"
#include "pool/arena.hpp"
#include "pool/control.hpp"
#include "pool/job.hpp"
#include "pool/result_ring.hpp"
#include "pool/thread_share.hpp"
#include "pool/worker_context.hpp"
#include "process/child_start.hpp"
#include <rankpool/comm/blocks.hpp>
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::pool {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

std::int64_t now_ns() { return Clock::now().time_since_epoch().count(); }

// A claim should last about this long: long enough that claiming costs nothing, short enough for an even end.
constexpr double claim_ns = 500'000;
// Items below this time are run in blocks of about `block_ns`: noting each of them would cost as much as they do.
constexpr double trivial_ns = 100;
constexpr double block_ns = 5'000;
constexpr std::uint64_t largest_block = 1 << 15;
// What was measured before may not hold for these items: blocks grow from one item on, by this factor, as long as each
// takes no longer than its items may; `block_slack_ns` is what running a block costs by itself.
constexpr std::uint64_t block_growth = 8;
constexpr std::int64_t block_slack_ns = 100;
// Between two looks at the clock items that run one by one may take this long, by what is known of them, …
constexpr double between_looks_ns = 20'000;
// … and be this many.
constexpr int most_between_looks = 8;
// Bytes of input that are copied at once: they stay in the cache.
constexpr std::size_t input_piece = std::size_t{256} << 10;
// Results that are computed before any of them is handed over: they stay in the cache, too.
constexpr std::size_t largest_frame = std::size_t{64} << 10;
// A smaller claim has what lies behind it copied too: the next one may need no copy of its own.
constexpr std::size_t input_window = std::size_t{16} << 10;
// The pool is woken for results this often after a claim, the more seldom the longer the job takes (by this part of its time
// so far: a process that is woken takes a CPU from a worker), and whenever the worker has nothing left to do …
struct Reports {
    std::int64_t part, shortest, longest;
};
constexpr Reports reports{8, 200'000, 2'000'000}, late_reports{2, 200'000, 20'000'000};
// … and this often within a claim, by a clock that is cheap to read.
constexpr std::int64_t report_within_ns = 4'000'000;

std::int64_t cheap_now_ns() { return os::coarse_now().time_since_epoch().count(); }

struct Claim {
    std::uint64_t begin, end;
    std::uint64_t job, function;
    std::uint64_t block;  // offset of the job block
    bool one_by_one;
};

struct alignas(Arena::alignment) InputLine {
    std::byte bytes[Arena::alignment];
};

class Worker {
  public:
    Worker(const WorkerOrders& orders, const std::vector<os::UniqueFd>& descriptors)
        : orders_(orders),
          control_mapping_(descriptors[0].get(), 0, os::whole_pages(sizeof(ControlBlock)), os::Mapping::Access::read_write),
          control_(*reinterpret_cast<ControlBlock*>(control_mapping_.data())),
          arena_(Arena::map_far(descriptors[1].get(), os::Mapping::Access::read_only)),
          shared_in_(Arena::map_far(descriptors[3].get(), os::Mapping::Access::read_only)),
          shared_out_(Arena::map_far(descriptors[4].get(), os::Mapping::Access::read_write)),
          segment_(descriptors[2].get(), orders.ring_bytes, os::Mapping::Access::read_write),
          page_(segment_.page()),
          results_(segment_),
          patience_(shm::Patience::for_runners(orders.workers_here + 1, orders.cpus_here)) {
        results_.set_doorbell([this] { ring_doorbell(); });
        page_.single_copy = can_read_pool() ? 1 : 0;
    }

    int live() {
        context_ = {.worker = orders_.self, .running = &page_.running, .stop = &control_.stop};
        context_.worker->pid = getpid();
        heed_the_pools_sigterm();
        if (!initialize()) return 1;
        for (;;) {
            if (orders_.max_tasks > 0 && items_run_ >= static_cast<std::uint64_t>(orders_.max_tasks)) break;
            const auto ticket = control_.work.ticket();
            set_state(WorkerState::claiming);
            if (const auto claim = find_work()) {
                run(*claim);
                continue;
            }
            go_idle();
            control_.work.wait(ticket, patience_, std::chrono::hours(1));
        }
        page_.state.store(static_cast<std::uint32_t>(WorkerState::leaving), std::memory_order_release);
        ring_doorbell();
        return 0;
    }

  private:
    void ring_doorbell() {
        control_.doorbell.signal();
        report_soon_ = late_results_ = false;
        last_report_ = now_ns();
    }
    bool report_is_due() const { return cheap_now_ns() - std::max(last_report_, claim_started_) >= report_within_ns; }
    void report_if_due() {
        if (report_is_due()) ring_doorbell();
    }

    // SIGTERM ends a worker when it comes from its pool, which says so in `stop` first. From others it is ignored.
    void heed_the_pools_sigterm() {
        static std::atomic<std::uint32_t>* stop = nullptr;
        stop = &control_.stop;
        struct sigaction action{};
        action.sa_flags = SA_RESTART;
        action.sa_handler = [](int signal) {
            if (stop->load(std::memory_order_seq_cst) == 0) return;
            std::signal(signal, SIG_DFL);
            raise(signal);  // takes effect when this returns
        };
        os::check(sigaction(SIGTERM, &action, nullptr), "sigaction(SIGTERM)");
        if (control_.stop.load(std::memory_order_seq_cst) != 0) raise(SIGTERM);  // it came while it was ignored
    }

    void set_state(WorkerState state) { page_.state.store(static_cast<std::uint32_t>(state), std::memory_order_release); }

    void go_idle() {
        set_state(WorkerState::idle);
        if (std::exchange(reported_idle_, true)) return;
        ring_doorbell();
    }

    bool can_read_pool() const {
        std::uint64_t value = 0;
        iovec local{&value, sizeof value};
        iovec remote{reinterpret_cast<void*>(orders_.probe_address), sizeof value};
        return process_vm_readv(orders_.pool_pid, &local, 1, &remote, 1, 0) == sizeof value && value == probe_value;
    }

    bool initialize() {
        if (orders_.initializer.empty()) return true;
        set_state(WorkerState::initializing);
        std::exception_ptr error;
        try {
            run_once(orders_.initializer);
        } catch (...) {
            error = std::current_exception();
        }
        process::flush_output();
        if (!error) return true;
        wire::Buffer bytes;
        wire::encode_exception(bytes, error);
        results_.send({FrameKind::initializer_error, 0, 0, 0, 0, 0, 0}, bytes);
        set_state(WorkerState::initializer_failed);
        ring_doorbell();
        return false;
    }

    // ---- claiming ----

    std::optional<Claim> find_work() {
        for (;;) {
            const std::uint64_t published = control_.published.load(std::memory_order_acquire);
            if (next_sequence_ >= published) return std::nullopt;
            if (published - next_sequence_ > 1)  // else it is the next one, and need not be skipped
                next_sequence_ = std::max(next_sequence_, control_.retired.load(std::memory_order_acquire));
            if (next_sequence_ >= published) return std::nullopt;
            if (const auto claim = claim_from(next_sequence_)) return claim;
            ++next_sequence_;  // nothing left there, for good
        }
    }

    std::optional<Claim> claim_from(std::uint64_t sequence) {
        Range& range = control_.ranges[sequence % range_places];
        std::uint64_t word = range.claim.load(std::memory_order_acquire);
        for (;;) {
            // The sequence in the word tells whether the place still holds the range we mean.
            if (word >> index_bits != (sequence & (~std::uint64_t{0} >> index_bits))) return std::nullopt;
            const std::uint64_t next = word & index_mask;
            const std::uint64_t end = range.end.load(std::memory_order_acquire);
            if (next >= end) return std::nullopt;
            const std::uint64_t count = std::min(chunk(range, end - next), end - next);
            const Claim claim{next, next + count, range.job.load(std::memory_order_relaxed),
                              range.function.load(std::memory_order_relaxed), range.block.load(std::memory_order_relaxed),
                              range.one_by_one.load(std::memory_order_relaxed) != 0};
            // seq_cst: orders this worker's `claiming` before the claim for the pool, which looks the other way round;
            // success also says that the fields above belong to this sequence.
            if (range.claim.compare_exchange_weak(word, word + count, std::memory_order_seq_cst)) return claim;
        }
    }

    std::uint64_t chunk(const Range& range, std::uint64_t remaining) const {
        std::uint64_t wanted = range.chunk.load(std::memory_order_relaxed);
        if (wanted == 0) {
            const auto workers = static_cast<std::uint64_t>(orders_.self.size);
            const std::uint64_t share = std::max<std::uint64_t>(1, remaining / (2 * workers));
            wanted = timed(range.function.load(std::memory_order_relaxed)) ? static_cast<std::uint64_t>(std::clamp(claim_ns / item_ns_, 1.0, 1e9))
                                  : 1;  // the first claim finds out how long the function's items take
            wanted = std::min({wanted, share, static_cast<std::uint64_t>(range.largest.load(std::memory_order_relaxed))});
        }
        if (orders_.max_tasks > 0)
            wanted = std::min(wanted, static_cast<std::uint64_t>(orders_.max_tasks) - std::min(items_run_, static_cast<std::uint64_t>(orders_.max_tasks) - 1));
        return wanted;
    }

    // Whether `item_ns_` was measured with this function.
    bool timed(std::uint64_t function) const { return item_ns_ > 0 && timed_function_ == function; }

    // ---- running ----

    const JobBlock& read_job(std::uint64_t offset) const {
        const auto& job = *reinterpret_cast<const JobBlock*>(arena_bytes(offset, sizeof(JobBlock)));
        if (job.magic != JobBlock::expected_magic) throw Error("a pool's job block is damaged");
        return job;
    }

    const std::byte* arena_bytes(std::uint64_t offset, std::uint64_t bytes) const { return bytes_of(arena_, offset, bytes); }

    static std::byte* bytes_of(const os::Mapping& memory, std::uint64_t offset, std::uint64_t bytes) {
        if (offset > memory.size() || bytes > memory.size() - offset)
            throw Error("the pool's memory does not fit into this worker's address space; is `ulimit -v` set?");
        return memory.data() + offset;
    }

    void run(const Claim& claim) {
        // A claim behind another begins where that ended: to look at the clock costs as much as a small item.
        const auto started = reported_idle_ || last_finished_ == Clock::time_point{} ? Clock::now() : last_finished_;
        claim_started_ = started.time_since_epoch().count();
        claim_begin_ = claim.begin;
        const std::int64_t busy_before = page_.busy.load(std::memory_order_relaxed);
        page_.busy.store(busy_before - claim_started_, std::memory_order_relaxed);
        std::uint64_t done = 0;
        std::uint64_t next = claim.begin;
        if (std::exchange(block_job_, claim.job) != claim.job) {
            block_now_ = 1;
            job_started_ = claim_started_;
            if (late_results_) ring_doorbell();  // the last ones of that job may be among them
        }
        claimed_function_ = claim.function;
        between_looks_ = 1;
        page_.job.store(claim.job, std::memory_order_relaxed);
        page_.claimed_end.store(claim.end, std::memory_order_relaxed);
        page_.frame_first.store(claim.begin, std::memory_order_relaxed);
        page_.running.store(claim.begin, std::memory_order_relaxed);
        set_state(WorkerState::working);
        reported_idle_ = false;
        job_ = nullptr;
        try {
            const JobBlock& job = read_job(claim.block);
            job_ = &job;
            context_.draining = &job.draining;
            const OpenFunction& function = open(job);
            while (next < claim.end && !dropped()) {
                const std::uint64_t end = load_input(job, next, claim.end);
                done += run_loaded(job, function, claim, next, end);
                next = end;
            }
        } catch (...) {
            // The function or the input could not be had: every item of the claim fails with the reason.
            const std::exception_ptr error = std::current_exception();
            for (; next < claim.end && !dropped(); ++next) send_error(claim.job, next, error);
        }
        page_.block.store(0, std::memory_order_release);
        const auto finished = last_finished_ = Clock::now();
        const double took = static_cast<double>((finished - started).count());
        items_run_ += done;
        if (done > 0) {
            item_ns_ = took / static_cast<double>(done);
            timed_function_ = claim.function;
        }
        page_.busy.store(busy_before + (finished - started).count(), std::memory_order_relaxed);
        const std::int64_t now = finished.time_since_epoch().count();
        late_results_ = job_ != nullptr && job_->wanted_late != 0;
        const Reports& often = late_results_ ? late_reports : reports;
        const std::int64_t pause = std::clamp((now - job_started_) / often.part, often.shortest, often.longest);
        if (now - last_report_ > pause || results_.filled_beyond(segment_.capacity() / 2) || report_soon_) ring_doorbell();
    }

    bool dropped() const { return job_ != nullptr && job_->dropped.load(std::memory_order_seq_cst) != 0; }

    // Makes items [begin, ...) available to `stretch_`; returns where they end, at most `end`.
    std::uint64_t load_input(const JobBlock& job, std::uint64_t begin, std::uint64_t end) {
        if (begin < job.first || end - job.first > job.count) throw Error("a pool's range lies outside of its job");
        const std::uint64_t index = begin - job.first;
        stretch_ = {};
        stretch_.first = begin;
        if (job.item_size == 0) {
            const auto* ends = reinterpret_cast<const std::uint64_t*>(arena_bytes(job.ends, job.count * 8));
            arena_bytes(job.items, job.item_bytes);
            for (std::uint64_t i = index; i < end - job.first; ++i)
                if (ends[i] > job.item_bytes || (i > 0 && ends[i] < ends[i - 1])) throw Error("a pool's table of items is damaged");
            // ends_[k] is where item begin + k starts; one further the next.
            ends_.assign(1, index == 0 ? 0 : ends[index - 1]);
            ends_.insert(ends_.end(), ends + index, ends + (end - job.first));
            stretch_.items = arena_.data() + job.items;
            stretch_.ends = ends_.data() + 1;
            return end;
        }
        if (job.mode == InputMode::arena) {
            stretch_.items = arena_bytes(job.items + index * job.item_size, (end - begin) * job.item_size);
            return end;
        }
        if (job.mode == InputMode::heap) {
            stretch_.items = bytes_of(shared_in_, job.items + index * job.item_size, (end - begin) * job.item_size);
            return end;
        }
        if (input_job_ != job.id || begin < input_begin_ || begin >= input_end_) read_input(job, begin, end);
        stretch_.first = input_begin_;
        stretch_.items = input_at_;
        return std::min(end, input_end_);
    }

    // Copies items [begin, end) of the pool's memory, or the first of them; and some behind them if they are few.
    void read_input(const JobBlock& job, std::uint64_t begin, std::uint64_t end) {
        const std::uint64_t most = std::max<std::uint64_t>(1, input_piece / job.item_size);
        const std::uint64_t wanted = std::max(std::min(end - begin, most), input_window / job.item_size);
        const std::uint64_t count = std::min(wanted, job.first + job.count - begin);
        const std::size_t bytes = static_cast<std::size_t>(count) * job.item_size;
        input_job_ = 0;
        // Where it lies in its page there, it lies here: the kernel copies faster so (wire/copy.hpp).
        constexpr std::size_t page = 4096;
        const std::uint64_t from = job.items + (begin - job.first) * job.item_size;
        input_.resize((bytes + page - 1) / sizeof(InputLine) + 1);
        std::byte* const memory = input_.front().bytes;
        input_at_ = memory + (from - reinterpret_cast<std::uint64_t>(memory)) % page;
        iovec local{input_at_, bytes};
        iovec remote{reinterpret_cast<void*>(from), bytes};
        const ssize_t got = process_vm_readv(orders_.pool_pid, &local, 1, &remote, 1, 0);
        if (got != static_cast<ssize_t>(bytes)) os::fail("process_vm_readv", "the items of a map");
        input_job_ = job.id;
        input_begin_ = begin;
        input_end_ = begin + count;
    }

    // Returns how many items were run.
    std::uint64_t run_loaded(const JobBlock& job, const OpenFunction& function, const Claim& claim, std::uint64_t begin,
                             std::uint64_t end) {
        const std::size_t result_size = function.descriptor().result_size;
        if (result_size == 0) return run_serialized(job, function, claim, begin, end);
        if (job.results != JobBlock::nowhere) return run_in_place(job, function, claim, begin, end);
        if (result_size > segment_.capacity() / 4 - sizeof(Frame)) return run_large(job, function, begin, end);
        const std::size_t most = std::max<std::size_t>(1, std::min(segment_.capacity() / 4, largest_frame) / result_size);
        std::uint64_t done = 0;
        while (begin < end && !dropped()) {
            const std::uint64_t stop = std::min<std::uint64_t>(end, begin + most);
            const std::uint64_t reached = run_frame(job, function, claim, begin, stop);
            done += reached - begin;
            begin = reached;
        }
        return done;
    }

    // Fixed-size results, computed in the ring itself: one frame, ended early by an item that throws.
    std::uint64_t run_frame(const JobBlock& job, const OpenFunction& function, const Claim& claim, std::uint64_t begin,
                            std::uint64_t end) {
        const std::size_t result_size = function.descriptor().result_size;
        std::byte* place = results_.reserve(aligned_frame(sizeof(Frame) + (end - begin) * result_size));
        if (dropped()) return begin;  // meanwhile
        page_.frame_first.store(begin, std::memory_order_release);
        stretch_.results = place + sizeof(Frame);
        stretch_.results_first = begin;
        const bool due = run_some(function, claim, begin, end);
        const Frame frame{FrameKind::fixed, 0, job.id, begin, done_ - begin, (done_ - begin) * result_size, 0};
        std::memcpy(place, &frame, sizeof frame);
        if (done_ > begin) results_.commit(aligned_frame(sizeof frame + frame.bytes));
        if (stretch_.error) send_error_of_item(job);
        if (due) ring_doorbell();
        return done_;
    }

    // Fixed-size results, written where the caller wants them.
    std::uint64_t run_in_place(const JobBlock& job, const OpenFunction& function, const Claim& claim, std::uint64_t begin, std::uint64_t end) {
        const std::size_t result_size = function.descriptor().result_size;
        stretch_.results = bytes_of(shared_out_, job.results + (begin - job.first) * result_size, (end - begin) * result_size);
        stretch_.results_first = begin;
        std::uint64_t announced = done_ = begin;
        while (done_ < end && !dropped()) {
            page_.frame_first.store(announced, std::memory_order_release);
            const bool due = run_some(function, claim, done_, end);
            if (done_ > announced) results_.send({FrameKind::placed, 0, job.id, announced, done_ - announced, 0, 0}, {});
            if (stretch_.error) {
                page_.frame_first.store(done_ + 1, std::memory_order_release);  // its place holds no result
                send_error_of_item(job);
            }
            announced = done_;
            if (due) ring_doorbell();
        }
        page_.frame_first.store(announced, std::memory_order_release);
        return done_ - begin;
    }

    // Runs items [begin, end) until one throws, nobody wants the rest, or a report is due: then it returns true. `done_` is
    // the first that has no result.
    bool run_some(const OpenFunction& function, const Claim& claim, std::uint64_t begin, std::uint64_t end) {
        done_ = begin;
        due_ = false;
        if (stretch_.encoded == nullptr && block_size(claim) > 1)
            run_blocks(function, claim, end);
        else
            run_each(function, end);
        if (!stretch_.error && !too_large_) settle(done_);
        return done_ < claim.end && (due_ || report_is_due());  // what is done need not wait for what takes long
    }

    // ---- one by one ----

    // Each is in doubt from before it begins until its result is in its place; the last one until settle().
    void run_each(const OpenFunction& function, std::uint64_t end) {
        context_.in_item = true;
        context_.in_block = false;
        // Little code: the more of it lies between two items, the less the CPU can begin with the next while one ends.
        stretch_.before_next = [](task::Stretch& stretch, std::size_t next) {
            auto& worker = *static_cast<Worker*>(stretch.follower);
            return worker.finish(next) && worker.may_start(next);
        };
        stretch_.follower = this;
        until_look_ = between_looks_;
        start(done_);
        page_.block.store(1, std::memory_order_release);
        const std::uint64_t reached = function.descriptor().run(function.function(), stretch_, done_, end);
        context_.in_item = false;
        if (!stretch_.error && done_ < reached && !too_large_) finish(reached);
        if (!stretch_.error) return;
        (void)take_told_to_stop(context_);  // its own error says more
        end_output_and_time();
        count_items(done_ + 1);
    }

    void start(std::uint64_t item) {
        page_.running.store(item, std::memory_order_release);  // the result before it is in its place
        if (orders_.watch_time) page_.since.store(now_ns(), std::memory_order_relaxed);
    }

    // The item before `next` has returned. False when that is not its end: `stretch_.error` or `too_large_` says why.
    bool finish(std::uint64_t next) {
        if (was_told_to_stop(context_)) return end_told();
        end_output_and_time();
        count_items(next);
        if (stretch_.encoded != nullptr && !close_value()) return false;
        done_ = next;
        return true;
    }

    [[gnu::noinline]] bool end_told() {
        stretch_.error = take_told_to_stop(context_);
        return false;
    }

    void end_output_and_time() {
        process::flush_standard_output();
        if (orders_.watch_time) page_.since.store(not_timed, std::memory_order_relaxed);
    }

    // Before the results can be seen: who has them finds the items counted.
    void count_items(std::uint64_t end) { page_.items.store(items_run_ + (end - claim_begin_), std::memory_order_relaxed); }

    // Notes that `next` begins, unless it is not to, yet.
    bool may_start(std::uint64_t next) {
        if (dropped() || (stretch_.encoded != nullptr && !open_value())) return false;
        if (--until_look_ == 0 && !look()) return false;
        start(next);
        return true;
    }

    // At the clock, after some items; false when a report is due.
    [[gnu::noinline]] bool look() {
        due_ = report_is_due();
        const bool short_ones = timed(claimed_function_) && item_ns_ * 2 * between_looks_ <= between_looks_ns;
        if (due_)
            between_looks_ = 1;  // they take longer than was known
        else if (short_ones && between_looks_ < most_between_looks)
            between_looks_ *= 2;
        until_look_ = between_looks_;
        return !due_;
    }

    void send_error_of_item(const JobBlock& job) {
        send_error(job.id, done_, std::exchange(stretch_.error, nullptr));
        settle(++done_);
    }

    // ---- trivial items, in blocks ----

    void run_blocks(const OpenFunction& function, const Claim& claim, std::uint64_t end) {
        stretch_.before_next = nullptr;
        std::int64_t before = now_ns();
        while (done_ < end && !stretch_.error && !due_ && !dropped()) {
            const std::uint64_t from = done_;
            done_ = run_block(function, from, std::min(end, from + std::min(block_size(claim), block_now_)));
            if (!stretch_.error) settle(done_);
            before = learn_block(done_ - from, before);
            due_ = report_is_due();
        }
    }

    // After a block of `count` items: how many the next may have. Returns the time.
    std::int64_t learn_block(std::uint64_t count, std::int64_t before) {
        const std::int64_t now = now_ns();
        const bool trivial = static_cast<double>(now - before - block_slack_ns) <= trivial_ns * static_cast<double>(count);
        if (!trivial)
            block_now_ = 1;
        else if (count == block_now_ && block_now_ < largest_block)
            block_now_ *= block_growth;
        return now;
    }

    std::uint64_t block_size(const Claim& claim) const {
        if (claim.one_by_one || asking_function_ == claim.function || !timed(claim.function) || item_ns_ >= trivial_ns) return 1;
        return std::min(largest_block, static_cast<std::uint64_t>(block_ns / item_ns_));
    }

    // Notes what is being run, runs it, and makes what it printed visible. Until settle(), the block is in doubt.
    std::uint64_t run_block(const OpenFunction& function, std::uint64_t begin, std::uint64_t end) {
        start(begin);
        page_.block.store(end - begin, std::memory_order_release);
        context_.in_item = true;
        context_.in_block = end - begin > 1;
        std::uint64_t reached = function.descriptor().run(function.function(), stretch_, begin, end);
        context_.in_item = false;
        const std::exception_ptr told = take_told_to_stop(context_);
        if (std::exchange(context_.asked, false)) {  // for its index, in a block of trivial items: they are run again, one by one
            asking_function_ = claimed_function_;
            stretch_.error = nullptr;
            reached = begin;
        } else if (told && (!stretch_.error || reached > begin)) {
            stretch_.error = told;  // nobody knows which of the block it was
            reached = begin;
        }
        end_output_and_time();
        count_items(reached + (stretch_.error ? 1 : 0));
        return reached;
    }

    // Everything before `next` is done and in the ring.
    void settle(std::uint64_t next) {
        page_.running.store(next, std::memory_order_release);
        page_.block.store(0, std::memory_order_release);
    }

    // ---- results that are too large for that, or of any size ----

    // Fixed-size results that are larger than the ring likes.
    std::uint64_t run_large(const JobBlock& job, const OpenFunction& function, std::uint64_t begin, std::uint64_t end) {
        const std::size_t result_size = function.descriptor().result_size;
        std::vector<InputLine> result((result_size + sizeof(InputLine) - 1) / sizeof(InputLine));
        stretch_.results = result.front().bytes;
        for (done_ = begin; done_ < end && !dropped();) {
            const std::uint64_t item = done_;
            stretch_.results_first = item;
            page_.frame_first.store(item, std::memory_order_relaxed);
            run_each(function, item + 1);
            if (stretch_.error)
                send_error_of_item(job);
            else
                results_.send({FrameKind::fixed, 0, job.id, item, 1, 0, 0}, {result.front().bytes, result_size});
            settle(done_);
            report_if_due();
        }
        return done_ - begin;
    }

    std::uint64_t run_serialized(const JobBlock& job, const OpenFunction& function, const Claim& claim, std::uint64_t begin, std::uint64_t end) {
        std::uint64_t next = begin;
        while (next < end && !dropped()) next = run_values(job, function, claim, next, end);
        return next - begin;
    }

    // Results of any size, gathered in the ring itself: one frame, ended early by an item that throws, or whose result has no
    // room in it.
    std::uint64_t run_values(const JobBlock& job, const OpenFunction& function, const Claim& claim, std::uint64_t begin, std::uint64_t end) {
        std::byte* place = results_.reserve(values_room(segment_.capacity()));
        if (dropped()) return begin;  // meanwhile
        page_.frame_first.store(begin, std::memory_order_release);
        const std::size_t room = values_room(segment_.capacity()) - sizeof(Frame);
        encoded_ = wire::Buffer::on({place + sizeof(Frame), room / 8 * 8});
        value_begin_ = values_end_ = 0;
        stretch_.encoded = &encoded_;
        (void)open_value();
        const bool due = run_some(function, claim, begin, end);
        stretch_.encoded = nullptr;
        if (done_ > begin) {
            const Frame frame{FrameKind::values, 0, job.id, begin, done_ - begin, values_end_, 0};
            std::memcpy(place, &frame, sizeof frame);
            results_.commit(aligned_frame(sizeof frame + values_end_));
        }
        if (stretch_.error) {
            send_error_of_item(job);
        } else if (std::exchange(too_large_, false)) {
            const std::span<const std::byte> all = encoded_;
            results_.send({FrameKind::value, 0, job.id, done_, 1, 0, 0}, all.subspan(value_begin_));
            settle(++done_);
        }
        if (due) ring_doorbell();
        return done_;
    }

    // Makes room for a value's length, which lies in front of it. False where another like the last has no room behind it.
    [[gnu::noinline]] bool open_value() {
        const std::size_t last = values_end_ - value_begin_, left = encoded_.capacity() - encoded_.size();
        if (left < sizeof(std::uint64_t) + last) return false;
        (void)encoded_.grow(sizeof(std::uint64_t));
        value_begin_ = encoded_.size();
        return true;
    }

    // False where it did not fit into the ring.
    [[gnu::noinline]] bool close_value() {
        too_large_ = !encoded_.is_lent();
        if (too_large_) return false;
        const std::uint64_t length = encoded_.size() - value_begin_;
        (void)encoded_.grow(value_room(length) - sizeof length - length);  // there is room: values begin, and the ring's part ends, on 8 bytes
        std::memcpy(encoded_.data() + value_begin_ - sizeof length, &length, sizeof length);
        values_end_ = encoded_.size();
        return true;
    }

    void send_error(std::uint64_t job, std::uint64_t index, const std::exception_ptr& error) {
        wire::Buffer bytes;
        wire::encode_exception(bytes, error);
        results_.send({FrameKind::error, 0, job, index, 1, 0, 0}, bytes);
        report_soon_ = true;  // the call may end by it
        if (now_ns() - last_report_ > reports.shortest) ring_doorbell();
    }

    // ---- functions ----

    const OpenFunction& open(const JobBlock& job) {
        // Calls end in the order they began, more or less: the oldest function is the one to forget.
        if (functions_.size() > 16 && functions_.begin()->first < job.function_id) functions_.erase(functions_.begin());
        auto& slot = functions_[job.function_id];
        if (!slot)
            slot = std::make_unique<OpenFunction>(
                std::span(arena_bytes(job.function_offset, job.function_bytes), static_cast<std::size_t>(job.function_bytes)));
        return *slot;
    }

    const WorkerOrders& orders_;
    WorkerContext& context_ = worker_context();
    os::Mapping control_mapping_;
    ControlBlock& control_;
    os::Mapping arena_, shared_in_, shared_out_;
    Segment segment_;
    WorkerPage& page_;
    RingProducer results_;
    shm::Patience patience_;

    std::uint64_t next_sequence_ = 0;
    std::uint64_t items_run_ = 0, claim_begin_ = 0;  // in claims before this one; where this one begins
    double item_ns_ = 0;
    std::uint64_t timed_function_ = ~std::uint64_t{0};
    std::uint64_t claimed_function_ = 0, asking_function_ = ~std::uint64_t{0};
    std::uint64_t block_job_ = 0, block_now_ = 1;  // of this job: items in the next block, at most
    Clock::time_point last_finished_{};
    std::int64_t last_report_ = 0, claim_started_ = 0, job_started_ = 0;
    bool reported_idle_ = false, report_soon_ = false;
    bool late_results_ = false;  // not reported yet

    const JobBlock* job_ = nullptr;  // the one being worked on
    task::Stretch stretch_;
    std::vector<InputLine> input_;
    std::byte* input_at_ = nullptr;  // in there: items [input_begin_, input_end_) of a job
    std::uint64_t input_job_ = 0, input_begin_ = 0, input_end_ = 0;
    std::vector<std::uint64_t> ends_;
    // Of the run that is under way: the first item without a result; why it ended early, but for an error.
    std::uint64_t done_ = 0;
    bool due_ = false, too_large_ = false;
    int between_looks_ = 1, until_look_ = 1;  // items from one look at the clock to the next, and until that
    // Serialized results in the ring, each with its length in front; where the last one begins, and what is complete ends.
    wire::Buffer encoded_;
    std::size_t value_begin_ = 0, values_end_ = 0;
    std::map<std::uint64_t, std::unique_ptr<OpenFunction>> functions_;
};

}  // namespace

int work_for_pool(std::span<const std::byte> bytes, std::vector<os::UniqueFd> descriptors) {
    if (descriptors.size() != 5) throw Error("a worker was started without its memory");
    const WorkerOrders orders = WorkerOrders::from_bytes(bytes);
    comm::in_task = true;  // a communicator that the program had when this process was forked is none of its tasks' business
    limit_library_threads(orders.thread_share);
    Worker worker(orders, descriptors);
    descriptors.clear();  // the mappings stay
    return worker.live();
}

}  // namespace rankpool::pool
