// The exceptions of the standard library and of this one as data: which they are, and how to make one again.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include <rankpool/remote.hpp>

namespace rankpool::wire {

/// Appends which standard (or rankpool) exception this is, the most derived one known, and what it holds besides its text.
void encode_standard(Buffer& out, const std::exception_ptr& error);

/// How to make it again; `nested`: with the exception that is being handled nested inside.
struct StandardBody {
    std::function<std::exception_ptr(bool nested)> rebuild;
};
/// Throws SerializationError.
StandardBody decode_standard(Reader& in, const std::string& text, const RemoteInfo& origin);

}  // namespace rankpool::wire
