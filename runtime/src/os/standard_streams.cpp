#include "os/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "os/failure.hpp"

namespace rankpool::os {

void occupy_standard_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (fcntl(stream, F_GETFD) < 0 && errno == EBADF)
            check(open("/dev/null", stream == STDIN_FILENO ? O_RDONLY : O_WRONLY), "open",
                  "/dev/null");  // the lowest free one
}

}  // namespace rankpool::os
