#include "entry/works.hpp"

#include "child/target.hpp"
#include "pool/worker.hpp"
#include "process/fork_server.hpp"

namespace rankpool::entry {

void register_works() {
    static constexpr process::Works works = {&pool::work_for_pool, &child::work_for_process};
    [[maybe_unused]] static const bool once = (process::set_works(works), true);  // several threads may make their first pool
}

}  // namespace rankpool::entry
