// Check level `collective`: before each collective operation the ranks make sure that all of them call the same one.
#pragma once

#include <cstdint>

#include <rankpool/comm/transport.hpp>

namespace rankpool::comm {

/// What a rank is about to do.
struct Announcement {
    const char* operation;
    int root = -1;                   // -1: there is none
    std::size_t elements = any_size; // of each rank; any_size where they need not agree
    const char* type = "";           // of an element, as typeid names it
    const char* op = "";             // of a reduction
    bool native = false;

    static constexpr std::size_t any_size = ~std::size_t{0};
};

/// Throws Error on every rank when they do not all announce the same, with what two of them call. Collective.
void agree(Transport& transport, const Announcement& own);

/// Whether RANKPOOL_CHECK asks for checks (1) or not (0); `unless_told` where it is not set. Throws LaunchError for
/// anything else.
bool wants_checks(bool unless_told);
/// Whether any of the ranks does: they all check, or none. Collective.
bool any_wants_checks(Transport& transport, bool own);

}  // namespace rankpool::comm
