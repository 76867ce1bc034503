// What a copy of this process does, forked as a program may fork itself.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <initializer_list>
#include <stdexcept>

/// In the copy: how many of these threw std::logic_error. -1 when the copy did not come to its end.
inline int refused_in_a_copy(std::initializer_list<std::function<void()>> uses) {
    const pid_t copy = fork();
    if (copy == 0) {
        int refused = 0;
        for (const auto& use : uses) {
            try {
                use();
            } catch (const std::logic_error&) {
                ++refused;
            }
        }
        _exit(refused);
    }
    int status = 0;
    return waitpid(copy, &status, 0) == copy && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
