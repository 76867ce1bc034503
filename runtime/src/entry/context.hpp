// What this process is in its job, for those who need to know: set by run() and spmd().
#pragma once

#include <memory>

#include <rankpool/comm/transport.hpp>

namespace rankpool::pool {
class Manager;
}

namespace rankpool::entry {

/// In main of run() on rank 0 of a job of several ranks: who spreads pools over them. Null elsewhere, and in tasks.
pool::Manager* manager_of_ranks();

/// Whether main of run() runs in this process.
bool in_run();

/// This process's rank in its job; -1 when standalone.
int own_rank();

/// Prints an exception that left the program's main or a rank.
void report_uncaught(const char* where, const std::exception_ptr& error);

}  // namespace rankpool::entry
