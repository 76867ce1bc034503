#include "os/failure.hpp"

#include <cstring>

#include <rankpool/error.hpp>

namespace rankpool::os {

std::string failure_text(std::string_view call, std::string_view object, int error_number) {
    char words[128];
    std::string text(call);
    if (!object.empty()) text.append("(").append(object).append(")");
    text.append(": ").append(strerror_r(error_number, words, sizeof words));
    return text;
}

void fail(std::string_view call, std::string_view object) { throw Error(failure_text(call, object, errno)); }

}  // namespace rankpool::os
