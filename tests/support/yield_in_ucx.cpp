// MPICH over UCX polls without ever giving its CPU away: with more ranks than CPUs each message takes a time slice. Preloaded
// into the tests' ranks, this lets another rank run whenever there was nothing to do.
#include <dlfcn.h>
#include <sched.h>

extern "C" unsigned ucp_worker_progress(void* worker) {
    using Progress = unsigned (*)(void*);
    static const auto real = reinterpret_cast<Progress>(dlsym(RTLD_NEXT, "ucp_worker_progress"));
    const unsigned moved = real(worker);
    if (moved == 0) sched_yield();
    return moved;
}
