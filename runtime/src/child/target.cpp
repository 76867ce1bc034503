#include "child/target.hpp"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <string>

#include "child/life.hpp"
#include "entry/context.hpp"
#include "os/byte_stream.hpp"
#include "pool/job.hpp"
#include "pool/worker_context.hpp"
#include "process/child_start.hpp"
#include "process/identity.hpp"
#include <rankpool/error.hpp>

namespace rankpool::child {
namespace {

// Throws what the target throws.
void call_target(std::span<const std::byte> orders) {
    os::ByteReader in(orders);
    const pool::OpenFunction function(in.get_block());
    const std::span<const std::byte> arguments = in.get_block();
    const task::Descriptor& descriptor = function.descriptor();
    if (descriptor.item_size != 0 && descriptor.item_size != arguments.size())
        throw Error("the arguments of a process are damaged: " + std::to_string(arguments.size()) + " bytes instead of " +
                    std::to_string(descriptor.item_size));
    const std::uint64_t ends[] = {0, arguments.size()};
    std::byte result{};
    task::Stretch stretch;
    stretch.items = arguments.data();
    stretch.ends = ends + 1;
    stretch.results = &result;
    descriptor.run(function.function(), stretch, 0, 1);
    if (stretch.error) std::rethrow_exception(stretch.error);
}

}  // namespace

std::vector<std::byte> TargetOrders::to_bytes() const {
    os::ByteWriter out;
    out.put_block(pool::Function::pack(descriptor, function).bytes);
    out.put_block(arguments);
    return std::move(out.bytes());
}

int work_for_process(std::span<const std::byte> orders, std::vector<os::UniqueFd> descriptors) {
    if (!pass_gate(descriptors.at(0))) _exit(1);
    descriptors.clear();
    pool::worker_context() = {};  // its creator may be the worker of a pool, and this a copy of that
    int exit_code = 0;
    try {
        call_target(orders);
    } catch (...) {
        process::flush_output();
        const std::string where = process::identity().name + " (pid " + std::to_string(getpid()) + ")";
        entry::report_uncaught(where.c_str(), std::current_exception());
        exit_code = 1;
    }
    std::exit(exit_code);
}

}  // namespace rankpool::child
