#include <rankpool/communicator.hpp>

#include "os/host_name.hpp"
#include "spmd/transport.hpp"
#include "spmd/world.hpp"
#include <rankpool/remote.hpp>

#include <unistd.h>

namespace rankpool::comm {

int rank(const Transport& transport) { return transport.rank(); }
int size(const Transport& transport) { return transport.size(); }

void check_root(const Transport& transport, int root) {
    if (root < 0 || root >= transport.size())
        throw std::invalid_argument("root = " + std::to_string(root) + " is no rank of this communicator: it has the ranks 0 to " +
                                    std::to_string(transport.size() - 1));
}

void barrier(Transport& transport) { transport.barrier(); }
void bcast(Transport& transport, wire::Buffer& bytes, int root) { transport.bcast(bytes, root); }

wire::Buffer scatter(Transport& transport, const std::vector<std::span<const std::byte>>& parts, int root) {
    return transport.scatter(parts, root);
}

std::vector<wire::Buffer> gather(Transport& transport, std::span<const std::byte> part, int root) {
    return transport.gather(part, root);
}

void encode_error(wire::Buffer& out, std::size_t index, int rank, const std::exception_ptr& error) {
    wire::encode(out, static_cast<std::uint64_t>(index));
    wire::encode(out, rank);
    wire::encode(out, getpid());
    wire::encode(out, os::host_name());
    wire::encode_exception(out, error);
}

std::exception_ptr decode_error(wire::Reader& in) {
    RemoteInfo origin;
    origin.item = static_cast<std::size_t>(in.read<std::uint64_t>());
    origin.worker.rank = origin.worker.index = in.read<int>();
    origin.worker.pid = in.read<pid_t>();
    origin.worker.host = in.read<std::string>();
    return wire::decode_exception(in.rest(), std::move(origin));
}

Communicator world(std::shared_ptr<Transport> transport) { return Communicator(std::move(transport)); }

int first_nonzero(Transport& transport, int own_code) {
    wire::Buffer result;
    const auto codes = transport.gather({reinterpret_cast<const std::byte*>(&own_code), sizeof own_code}, 0);
    int code = 0;
    for (const wire::Buffer& each : codes)
        if (code == 0 && each.size() == sizeof code) std::memcpy(&code, each.data(), sizeof code);
    if (transport.rank() == 0) result.append(&code, sizeof code);
    transport.bcast(result, 0);
    if (result.size() == sizeof code) std::memcpy(&code, result.data(), sizeof code);
    return code;
}

bool is_departure(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const RankDeparted&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace rankpool::comm
