#include "entry/works.hpp"

#include "pool/worker.hpp"
#include "process/fork_server.hpp"

namespace rankpool::entry {

void register_works() {
    static constexpr process::Works works = {&pool::work_for_pool};
    process::set_works(works);
}

}  // namespace rankpool::entry
