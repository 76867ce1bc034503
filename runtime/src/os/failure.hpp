// System calls that fail: one way to say so. The text has the call, the object and the kernel's own words.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

namespace rankpool::os {

/// Throws rankpool::Error "CALL(OBJECT): STRERROR(errno)". `errno` is read on entry.
[[noreturn]] void fail(std::string_view call, std::string_view object = {});

/// The same text without throwing, for reports.
std::string failure_text(std::string_view call, std::string_view object, int error_number);

/// Returns `result`, or throws as fail() does when it is -1.
template <class Integer>
Integer check(Integer result, std::string_view call, std::string_view object = {}) {
    if (result == static_cast<Integer>(-1)) fail(call, object);
    return result;
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto retry_interrupted(Call&& call) {
    for (;;) {
        auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

}  // namespace rankpool::os
