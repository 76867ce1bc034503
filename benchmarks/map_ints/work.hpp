// The work that all competitors of map_ints do: 10 million ints, each squared.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace bench {

inline constexpr std::size_t count = 10'000'000;

/// The square modulo 2^32: no int overflows.
struct Square {
    int operator()(int x) const { return static_cast<int>(static_cast<unsigned>(x) * static_cast<unsigned>(x)); }
};

inline int item(std::size_t index) { return static_cast<int>(static_cast<unsigned>(index) * 2'654'435'761U); }

inline std::vector<int> make_items() {
    std::vector<int> items(count);
    for (std::size_t i = 0; i < count; ++i) items[i] = item(i);
    return items;
}

/// Whether these are the squares. Then overwrites them, so that the next repetition cannot pass by doing nothing.
inline bool take_right(std::span<int> squares) {
    if (squares.size() != count) return false;
    for (std::size_t i = 0; i < count; ++i) {
        const int expected = Square{}(item(i));
        if (squares[i] != expected) return false;
        squares[i] = ~expected;
    }
    return true;
}

}  // namespace bench
