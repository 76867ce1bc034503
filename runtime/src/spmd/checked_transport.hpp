// A transport that makes sure, before each collective operation, that all ranks call the same one: check level `collective`.
//
// It costs one small allgather each time. Every rank throws when they do not agree, with what both sides call.
#pragma once

#include <memory>

#include <rankpool/comm/transport.hpp>

namespace rankpool::comm {

std::shared_ptr<Transport> checked(std::shared_ptr<Transport> transport);

/// Whether RANKPOOL_CHECK asks for checks (1) or not (0); `unless_told` where it is not set. Throws LaunchError for
/// anything else.
bool wants_checks(bool unless_told);

}  // namespace rankpool::comm
