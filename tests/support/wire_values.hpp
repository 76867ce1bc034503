// Values through bytes and back, for tests of what travels; and what becomes of bytes that were damaged on the way.
//
//     EXPECT_EQ(round_trip(value), value);
//     expect_damage_is_refused<std::vector<std::string>>(encoded(value));
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include <rankpool/wire/archive.hpp>
#include "allocations.hpp"

namespace wire_values {

using Bytes = std::vector<std::byte>;

template <class T>
Bytes encoded(const T& value) {
    rankpool::wire::Buffer buffer;
    rankpool::wire::encode(buffer, value);
    const std::span<const std::byte> bytes(buffer);
    return {bytes.begin(), bytes.end()};
}

template <class T>
T decoded(const Bytes& bytes) {
    // A copy of exactly this size on the heap: a sanitizer sees a read behind its end.
    const Bytes exact(bytes);
    return rankpool::wire::decode<T>(exact);
}

template <class T>
T round_trip(const T& value) {
    return decoded<T>(encoded(value));
}

/// Whether `decode` refuses the bytes: it may throw any exception, but may not ask for much more memory than there are
/// bytes.
template <class Decode>
bool refuses(const Bytes& bytes, Decode&& decode) {
    const allocations::Largest largest;
    bool refused = false;
    try {
        decode(bytes);
    } catch (const std::exception&) {
        refused = true;
    }
    EXPECT_LE(largest.bytes(), 64 * 1024 + 64 * bytes.size())
        << "memory asked for to decode " << bytes.size() << " bytes";
    return refused;
}

template <class T>
bool refuses(const Bytes& bytes) {
    return refuses(bytes, [](const Bytes& damaged) { (void)decoded<T>(damaged); });
}

/// Every proper prefix of `bytes`, and `bytes` with something behind, is an exception.
template <class T>
void expect_wrong_length_is_refused(const Bytes& bytes) {
    ASSERT_FALSE(refuses<T>(bytes)) << "the undamaged bytes";
    for (std::size_t length = 0; length < bytes.size(); ++length)
        EXPECT_TRUE(refuses<T>(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length))))
            << "the first " << length << " of " << bytes.size() << " bytes were taken for a value";
    Bytes longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_TRUE(refuses<T>(longer)) << "a byte was left over";
}

/// The same, and with any byte changed the bytes are an exception or a value, nothing worse.
template <class T>
void expect_damage_is_refused(const Bytes& bytes) {
    expect_wrong_length_is_refused<T>(bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
            Bytes changed = bytes;
            changed[i] ^= flip;
            (void)refuses<T>(changed);
        }
    }
}

/// `bytes` with the 8 bytes at `offset` replaced by `word`.
inline Bytes with_word(Bytes bytes, std::size_t offset, std::uint64_t word) {
    std::memcpy(bytes.data() + offset, &word, sizeof word);
    return bytes;
}

}  // namespace wire_values
