// What run() and spmd() need of communicators.
#pragma once

#include <exception>
#include <memory>

#include "spmd/departure.hpp"
#include <rankpool/comm/transport.hpp>
#include <rankpool/communicator.hpp>

namespace rankpool::comm {

/// Whether the error says that another rank has gone.
bool is_departure(const std::exception_ptr& error);

}  // namespace rankpool::comm
