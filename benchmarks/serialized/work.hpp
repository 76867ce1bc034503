// What all competitors of `serialized` scatter from rank 0, and gather there again: 400,000 strings, or 50,000 records.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

namespace bench {

struct Point {
    double x = 0, y = 0;
    bool operator==(const Point&) const = default;
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& x& y;
    }
};

/// A struct with strings, a vector and structs inside.
struct Record {
    int number = 0;
    std::string name;
    std::vector<Point> path;
    std::vector<std::string> marks;
    bool operator==(const Record&) const = default;
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& number& name& path& marks;
    }
};

inline std::string string_of(std::size_t i) {
    std::string text = std::to_string(i) + ": ";
    for (std::size_t k = 0; k <= i % 8; ++k) text += "some words ";
    return text;
}

inline std::vector<std::string> make_strings() {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < 400'000; ++i) all.push_back(string_of(i));
    return all;
}

inline std::vector<Record> make_records() {
    std::vector<Record> all;
    for (std::size_t i = 0; i < 50'000; ++i) {
        Record& record = all.emplace_back();
        record.number = static_cast<int>(i);
        record.name = string_of(i);
        for (std::size_t k = 0; k < i % 10; ++k) record.path.push_back({static_cast<double>(k), static_cast<double>(i)});
        for (std::size_t k = 0; k < i % 4; ++k) record.marks.push_back(string_of(k));
    }
    return all;
}

}  // namespace bench
