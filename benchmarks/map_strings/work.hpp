// The work that all competitors of map_strings do: 100,000 strings, of 14 to 95 characters, in capitals.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline constexpr std::size_t count = 100'000;

/// The string in capitals.
struct Shout {
    std::string operator()(std::string text) const {
        for (char& c : text)
            if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        return text;
    }
};

inline std::vector<std::string> make_items() {
    std::vector<std::string> items;
    for (std::size_t i = 0; i < count; ++i) {
        std::string& item = items.emplace_back(std::to_string(i) + ": ");
        for (std::size_t k = 0; k <= i % 8; ++k) item += "some words ";
    }
    return items;
}

/// Whether these are the results. Then takes them away, so that the next repetition cannot pass by doing nothing.
inline bool take_right(std::vector<std::string>& results) {
    static const std::vector<std::string> expected = [] {
        std::vector<std::string> items = make_items();
        for (std::string& item : items) item = Shout{}(std::move(item));
        return items;
    }();
    return std::exchange(results, {}) == expected;
}

}  // namespace bench
