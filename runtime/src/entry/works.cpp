#include "entry/works.hpp"

#include "child/family.hpp"
#include "child/target.hpp"
#include "pool/worker.hpp"
#include "process/fork_server.hpp"

namespace rankpool::entry {
namespace {

int work_for_pool(std::span<const std::byte> orders, std::vector<os::UniqueFd> descriptors) {
    const int exit_code = pool::work_for_pool(orders, std::move(descriptors));
    child::end_children();  // those that its tasks started and kept
    return exit_code;
}

}  // namespace

void register_works() {
    static constexpr process::Works works = {&work_for_pool, &child::work_for_process};
    [[maybe_unused]] static const bool once = (process::set_works(works), true);  // several threads may make their first pool
}

}  // namespace rankpool::entry
