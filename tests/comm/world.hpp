// The job that these tests run in. Every rank runs every test: all make the same collective calls in the same order, so a
// test never leaves early, and works for any number of ranks.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace comm_test {

rankpool::Communicator& world();
inline int rank() { return world().rank(); }
inline int ranks() { return world().size(); }
inline std::size_t index_of(int rank) { return static_cast<std::size_t>(rank); }

/// The neighbours in the ring of all ranks; with one rank it is its own.
inline int right() { return (rank() + 1) % ranks(); }
inline int left() { return (rank() + ranks() - 1) % ranks(); }

/// Collective. The communicator is as good as new: nobody is a call ahead or behind, nothing is left over.
inline void expect_works(rankpool::Communicator& on) {
    std::vector<int> expected;
    for (int r = 0; r < on.size(); ++r) expected.push_back(r * 7);
    EXPECT_EQ(on.allgather(on.rank() * 7), expected);
    EXPECT_EQ(on.bcast(on.rank() + 40, on.size() - 1), on.size() + 39);
    EXPECT_FALSE(on.iprobe().has_value());
    on.barrier();  // nobody sends before all have looked
}

/// A test with messages: it ends on all ranks before the next one begins on any, so a receive from anybody receives from
/// its own test.
class WithMessages : public testing::Test {
  protected:
    void TearDown() override {
        EXPECT_FALSE(world().iprobe().has_value()) << "a message is left over";
        world().barrier();
    }
};

/// Expects that `call` refuses its arguments, and that the text of the error has each of `words`.
template <class Call>
void expect_refused(Call&& call, const std::vector<std::string>& words = {}) {
    try {
        static_cast<void>(call());
        ADD_FAILURE() << "no std::invalid_argument";
    } catch (const std::invalid_argument& error) {
        const std::string text = error.what();
        for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " is not in: " << text;
    }
}

}  // namespace comm_test
