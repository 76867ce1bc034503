// runtime/src/journal/hash.hpp: the public algorithm, by values that others have published.
#include "journal/hash.hpp"

#include <gtest/gtest.h>

#include <set>
#include <span>
#include <string>
#include <string_view>

using rankpool::journal::hash;

namespace {

std::uint64_t hash_of(std::string_view text) { return hash(std::as_bytes(std::span(text)), 0); }

TEST(Hash, IsXxh64) {
    EXPECT_EQ(hash_of(""), 0xef46db3751d8e999u);
    EXPECT_EQ(hash_of("a"), 0xd24ec4f1a98c6e5bu);
    EXPECT_EQ(hash_of("abc"), 0x44bc2cf5ad770999u);
    EXPECT_EQ(hash_of("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1u);
}

TEST(Hash, OfEverySeedAndLengthIsAnother) {
    const std::string zeros(100, '\0');
    std::set<std::uint64_t> seen;
    for (std::size_t length = 0; length <= zeros.size(); ++length)
        for (std::uint64_t seed = 0; seed < 4; ++seed)
            EXPECT_TRUE(seen.insert(hash(std::as_bytes(std::span(zeros).first(length)), seed)).second);
}

}  // namespace
