#include "process/identity.hpp"

#include <unistd.h>

namespace rankpool::process {

Identity& identity() {
    static auto* instance = new Identity;  // never destroyed: static destructors may still ask
    return *instance;
}

}  // namespace rankpool::process

namespace rankpool {

ProcessInfo current_process() {
    const process::Identity& self = process::identity();
    return {self.name, getpid(), self.daemon};
}

std::optional<ProcessInfo> parent_process() { return process::identity().creator; }

}  // namespace rankpool
