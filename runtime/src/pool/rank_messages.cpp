#include "pool/rank_messages.hpp"

#include <rankpool/error.hpp>

namespace rankpool::pool {

void put(os::ByteWriter& out, const WorkerInfo& info) {
    out.put(info.index);
    out.put(info.size);
    out.put(info.pid);
    out.put(info.host);
    out.put(info.rank);
}

WorkerInfo get_worker_info(os::ByteReader& in) {
    WorkerInfo info;
    info.index = in.get<int>();
    info.size = in.get<int>();
    info.pid = in.get<pid_t>();
    info.host = in.get_string();
    info.rank = in.get<int>();
    return info;
}

void put(os::ByteWriter& out, const WorkerStats& stats) {
    put(out, stats.worker);
    out.put(stats.items);
    out.put(stats.losses);
    out.put(stats.restarts);
    out.put(stats.busy);
}

WorkerStats get_worker_stats(os::ByteReader& in) {
    WorkerStats stats;
    stats.worker = get_worker_info(in);
    stats.items = in.get<std::uint64_t>();
    stats.losses = in.get<std::uint64_t>();
    stats.restarts = in.get<std::uint64_t>();
    stats.busy = in.get<std::chrono::nanoseconds>();
    return stats;
}

void put(os::ByteWriter& out, const EngineOptions& options) {
    out.put(options.workers);
    out.put(options.first_index);
    out.put(options.pool_size);
    out.put(options.cpus);
    out.put(static_cast<std::uint32_t>(options.seats.size()));
    for (const Seat& seat : options.seats) {
        out.put(seat.rank);
        out.put(seat.threads);
        out.put(static_cast<std::uint32_t>(seat.affinity.size()));
        for (const std::uint64_t word : seat.affinity) out.put(word);
    }
    out.put_block(options.initializer);
    out.put(options.max_tasks_per_child);
    out.put(options.on_loss);
    out.put(options.max_retries);
    out.put(options.task_timeout);
    out.put(static_cast<std::uint32_t>(options.surroundings.environment.size()));
    for (const std::string& variable : options.surroundings.environment) out.put(variable);
    out.put(options.surroundings.working_directory);
    out.put(options.surroundings.umask);
}

EngineOptions get_engine_options(os::ByteReader& in) {
    EngineOptions options;
    options.workers = in.get<int>();
    options.first_index = in.get<int>();
    options.pool_size = in.get<int>();
    options.cpus = in.get<int>();
    for (auto seats = in.get<std::uint32_t>(); seats > 0; --seats) {
        Seat& seat = options.seats.emplace_back();
        seat.rank = in.get<int>();
        seat.threads = in.get<int>();
        for (auto words = in.get<std::uint32_t>(); words > 0; --words) seat.affinity.push_back(in.get<std::uint64_t>());
    }
    if (options.seats.size() != static_cast<std::size_t>(options.workers)) throw Error("the order to open a pool is damaged");
    const auto initializer = in.get_block();
    options.initializer.assign(initializer.begin(), initializer.end());
    options.max_tasks_per_child = in.get<int>();
    options.on_loss = in.get<OnLoss>();
    options.max_retries = in.get<int>();
    options.task_timeout = in.get<std::chrono::nanoseconds>();
    // Affinity is a matter of the machine: the workers get this rank's, or their seat's.
    options.surroundings = process::Surroundings::here();
    options.surroundings.environment.clear();
    for (auto count = in.get<std::uint32_t>(); count > 0; --count) options.surroundings.environment.push_back(in.get_string());
    options.surroundings.working_directory = in.get_string();
    options.surroundings.umask = in.get<mode_t>();
    return options;
}

os::ByteWriter message(Say what, std::uint64_t pool) {
    os::ByteWriter out;
    out.put(what);
    out.put(pool);
    return out;
}

wire::Buffer sealed(os::ByteWriter& out) {
    wire::Buffer bytes;
    bytes.append(out.bytes().data(), out.bytes().size());
    return bytes;
}

}  // namespace rankpool::pool
