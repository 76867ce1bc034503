#include "journal/hash.hpp"

#include <bit>
#include <cstring>

namespace rankpool::journal {
namespace {

constexpr std::uint64_t prime1 = 0x9E3779B185EBCA87, prime2 = 0xC2B2AE3D27D4EB4F, prime3 = 0x165667B19E3779F9,
                        prime4 = 0x85EBCA77C2B2AE63, prime5 = 0x27D4EB2F165667C5;

template <class Word>
std::uint64_t take(const std::byte*& from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    from += sizeof word;
    return word;
}

std::uint64_t mixed(std::uint64_t lane, std::uint64_t word) { return std::rotl(lane + word * prime2, 31) * prime1; }

}  // namespace

std::uint64_t hash(std::span<const std::byte> bytes, std::uint64_t seed) {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t result = seed + prime5;
    if (left >= 32) {
        std::uint64_t lanes[4] = {seed + prime1 + prime2, seed + prime2, seed, seed - prime1};
        for (; left >= 32; left -= 32)
            for (std::uint64_t& lane : lanes) lane = mixed(lane, take<std::uint64_t>(at));
        result = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
        for (const std::uint64_t lane : lanes) result = (result ^ mixed(0, lane)) * prime1 + prime4;
    }
    result += bytes.size();
    for (; left >= 8; left -= 8) result = std::rotl(result ^ mixed(0, take<std::uint64_t>(at)), 27) * prime1 + prime4;
    for (; left >= 4; left -= 4) result = std::rotl(result ^ take<std::uint32_t>(at) * prime1, 23) * prime2 + prime3;
    for (; left > 0; --left) result = std::rotl(result ^ take<std::uint8_t>(at) * prime5, 11) * prime1;
    result = (result ^ result >> 33) * prime2;
    result = (result ^ result >> 29) * prime3;
    return result ^ result >> 32;
}

}  // namespace rankpool::journal
