// Inputs that misbehave, for the tests of what a pool does with them.
#pragma once

#include <cstddef>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace semantics {

inline std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// The numbers from 0 on, one after the other and once only: no length, no second reading. Throws InputBroken before item
/// `broken_at`; ends before `count`.
struct InputBroken : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct Generator {
    int count;
    int broken_at = -1;

    struct iterator {
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        const Generator* range;
        int at = 0;
        int operator*() const {
            if (at == range->broken_at) throw InputBroken("the input broke at item " + std::to_string(at));
            return at;
        }
        iterator& operator++() {
            ++at;
            return *this;
        }
        void operator++(int) { ++at; }
        bool operator==(std::default_sentinel_t) const { return at == range->count; }
    };
    iterator begin() const { return {this}; }
    std::default_sentinel_t end() const { return {}; }
};

/// The same, but it announces how long it is.
struct SizedGenerator : Generator {
    std::size_t size() const { return static_cast<std::size_t>(count); }
};

/// An item or result that throws while it is written (13) or while it is read (14).
struct Stubborn {
    int value = 0;
    std::string text = {};  // or it would travel as its bytes

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if (Archive::is_saving::value && value == 13) throw std::domain_error("13 cannot be written");
        archive & value;
        if (Archive::is_loading::value && value == 14) throw std::domain_error("14 cannot be read");
    }
};

}  // namespace semantics
