// The engine's own records; see engine.hpp. For the engine's files only.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <unordered_map>

#include "pool/engine.hpp"

namespace rankpool::pool {

struct Engine::Job {
    Job(JobId id_, FunctionId function_, std::uint32_t result_size_, std::uint64_t first, std::uint64_t count,
        JobOptions options_, Sink& sink_, std::function<void()> over_)
        : id(id_), function(function_), result_size(result_size_), options(options_), coverage(first, count),
          sink(&sink_), over(std::move(over_)) {}

    JobId id;
    FunctionId function;
    std::uint32_t result_size;
    JobOptions options;
    Coverage coverage;
    Sink* sink;  // null once nobody wants results any more
    std::function<void()> over;
    ArenaBlock block;
    ArenaBlock items;  // with the table of their ends; empty where they lie behind the block
    bool in_place = false;   // workers read its items, or write its results, in the program's memory
    bool cancelled = false;
    bool touched = false;    // by a worker that was lost since
    bool delivered = false;  // something, since its sink was last told of a pause
    JobBlock& block_of() const { return *reinterpret_cast<JobBlock*>(block.data()); }

    std::unordered_map<std::uint64_t, int> losses;  // of items, under OnLoss::retry
    int deaths_without_progress = 0;  // of workers that had taken items and not started one
    std::uint64_t done_at_last_death = 0;
};

struct Engine::Worker {
    int index = 0;
    const Seat* seat = nullptr;
    std::uint64_t incarnation = 0;
    os::UniqueFd segment_fd;
    std::optional<Segment> segment;
    std::optional<RingConsumer> ring;
    process::ChildId child = 0;
    pid_t pid = 0;
    bool alive = false;    // asked for, and not known to have ended
    bool started = false;  // its pid is known
    int failed_starts = 0;
    std::string fault;     // why we killed it, where we did
    bool timed_out = false;
    std::optional<std::chrono::steady_clock::time_point> halted;  // by watch_time(), for a closer look
    std::array<std::uint64_t, 3> seen{};  // where it was when watch_time() looked, and since when
    std::chrono::steady_clock::time_point seen_since{};
    WorkerStats past;      // of the processes before this one

    WorkerState state() const { return static_cast<WorkerState>(segment->page().state.load(std::memory_order_seq_cst)); }
};

// What the fork server's reader thread has to say. It outlives the engine if need be.
struct Engine::Mail {
    struct Event {
        int worker;
        std::uint64_t incarnation;
        enum { started, failed, ended } kind;
        pid_t pid = 0;
        process::Ended how{};
        std::string why;
    };
    std::mutex mutex;
    std::vector<Event> events;
    ControlBlock* control = nullptr;  // null when the engine is gone

    void post(Event event) {
        std::lock_guard lock(mutex);
        events.push_back(std::move(event));
        if (control != nullptr) control->doorbell.notice();
    }
};

}  // namespace rankpool::pool
