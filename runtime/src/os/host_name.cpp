#include "os/host_name.hpp"

#include <unistd.h>

namespace rankpool::os {

std::string host_name() {
    char name[256] = {};
    return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

}  // namespace rankpool::os
