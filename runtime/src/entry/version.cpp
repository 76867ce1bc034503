#include <rankpool/version.hpp>

namespace rankpool {

std::string version() {
    return std::to_string(RANKPOOL_VERSION_MAJOR) + "." + std::to_string(RANKPOOL_VERSION_MINOR) + "." +
           std::to_string(RANKPOOL_VERSION_PATCH);
}

}  // namespace rankpool
