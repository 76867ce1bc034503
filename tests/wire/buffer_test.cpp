#include <rankpool/wire/buffer.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

namespace {

using rankpool::wire::Buffer;

std::string_view text_in(const Buffer& buffer) { return {reinterpret_cast<const char*>(buffer.data()), buffer.size()}; }

TEST(Buffer, BeginsInMemoryThatWasLentAndLeavesItWhenItIsFull) {
    std::array<std::byte, 16> memory{};
    Buffer buffer = Buffer::on(memory);
    buffer.append("0123456789", 10);
    EXPECT_TRUE(buffer.is_lent());
    EXPECT_EQ(buffer.data(), memory.data());
    buffer.append("abcdef", 6);
    EXPECT_TRUE(buffer.is_lent()) << "just full";
    EXPECT_EQ(std::memcmp(memory.data(), "0123456789abcdef", 16), 0);

    buffer.append("!", 1);
    EXPECT_FALSE(buffer.is_lent());
    EXPECT_EQ(text_in(buffer), "0123456789abcdef!");
    EXPECT_EQ(std::memcmp(memory.data(), "0123456789abcdef", 16), 0) << "what was lent stays as it was";
    for (int i = 0; i < 1000; ++i) buffer.append("x", 1);
    EXPECT_EQ(buffer.size(), 1017u);
    EXPECT_EQ(text_in(buffer).substr(0, 18), "0123456789abcdef!x");
}

TEST(Buffer, MovesWithWhatItWasLent) {
    std::array<std::byte, 4> memory{};
    Buffer first = Buffer::on(memory);
    first.append("ab", 2);
    Buffer second = std::move(first);
    EXPECT_TRUE(second.is_lent());
    Buffer own;
    own.append("own", 3);
    own = std::move(second);
    EXPECT_TRUE(own.is_lent());
    EXPECT_EQ(text_in(own), "ab");
    own.append("cdef", 4);
    EXPECT_EQ(text_in(own), "abcdef");
}

TEST(Buffer, OnNoMemoryIsAnEmptyOne) {
    Buffer buffer = Buffer::on({});
    buffer.append("a", 1);
    EXPECT_EQ(text_in(buffer), "a");
}

}  // namespace
