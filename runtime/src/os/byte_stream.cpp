#include "os/byte_stream.hpp"

#include <rankpool/error.hpp>

namespace rankpool::os {

std::span<const std::byte> ByteReader::take(std::uint64_t count) {
    if (count > bytes_.size())
        throw Error("a message between our processes is damaged: " + std::to_string(count) + " bytes expected, " +
                    std::to_string(bytes_.size()) + " left");
    const auto taken = bytes_.first(static_cast<std::size_t>(count));
    bytes_ = bytes_.subspan(static_cast<std::size_t>(count));
    return taken;
}

}  // namespace rankpool::os
