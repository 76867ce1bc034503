#include <rankpool/communicator.hpp>

#include "os/host_name.hpp"
#include <rankpool/comm/transport.hpp>
#include "spmd/world.hpp"
#include <rankpool/remote.hpp>

#include <unistd.h>

namespace rankpool::comm {

void refuse_root(int root, int size) {
    throw std::invalid_argument("root = " + std::to_string(root) + " is no rank of this communicator: it has the ranks 0 to " + std::to_string(size - 1));
}

thread_local constinit bool in_task = false;

void refuse_in_task(const char* what) {
    throw std::logic_error(std::string(what) + ": a communicator was used inside a pool's task, which may run anywhere and any number at a time; "
                           "return the data as the task's result and let main communicate");
}

void refuse_peer(const char* what, int rank, int size, bool wildcard) {
    throw std::invalid_argument(std::string(what) + ": " + (wildcard ? "source" : "dest") + " = " + std::to_string(rank) +
                                " is no rank of this communicator: it has the ranks 0 to " + std::to_string(size - 1) + (wildcard ? ", and any_source" : ""));
}

void refuse_tag(int tag, bool wildcard) {
    throw std::invalid_argument("tag = " + std::to_string(tag) + "; expected 0 to " + std::to_string(largest_tag) + (wildcard ? ", or any_tag" : ""));
}

void refuse_count(const char* what, std::size_t given, std::size_t expected, const char* of) {
    throw std::invalid_argument(std::string(what) + " has " + std::to_string(given) + " elements; expected " + std::to_string(expected) + ", " + of);
}

void refuse_overlap() { throw std::invalid_argument("what is sent and what is received overlap in memory; use two ranges"); }

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
