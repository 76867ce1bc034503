#include "pool/site.hpp"

#include <rankpool/error.hpp>

namespace rankpool::pool {

void OwnSite::terminate(int signal) {
    engine_.terminate(std::make_exception_ptr(CancelledError("the pool was terminated before this work was done")), signal);
}

}  // namespace rankpool::pool
