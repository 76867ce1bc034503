#include "os/byte_stream.hpp"
#include "pool/worker.hpp"

namespace rankpool::pool {

std::vector<std::byte> WorkerOrders::to_bytes() const {
    os::ByteWriter out;
    out.put(self.index);
    out.put(self.size);
    out.put(self.host);
    out.put(self.rank);
    out.put(ring_bytes);
    out.put(workers_here);
    out.put(cpus_here);
    out.put(max_tasks);
    out.put(watch_time);
    out.put(pool_pid);
    out.put(probe_address);
    out.put(thread_share);
    out.put_block(initializer);
    return std::move(out.bytes());
}

WorkerOrders WorkerOrders::from_bytes(std::span<const std::byte> bytes) {
    os::ByteReader in(bytes);
    WorkerOrders orders;
    orders.self.index = in.get<int>();
    orders.self.size = in.get<int>();
    orders.self.host = in.get_string();
    orders.self.rank = in.get<int>();
    orders.ring_bytes = in.get<std::uint64_t>();
    orders.workers_here = in.get<std::int32_t>();
    orders.cpus_here = in.get<std::int32_t>();
    orders.max_tasks = in.get<std::int32_t>();
    orders.watch_time = in.get<bool>();
    orders.pool_pid = in.get<pid_t>();
    orders.probe_address = in.get<std::uint64_t>();
    orders.thread_share = in.get<std::uint64_t>();
    const auto initializer = in.get_block();
    orders.initializer.assign(initializer.begin(), initializer.end());
    return orders;
}

}  // namespace rankpool::pool
