// The kinds of values that ranks send each other, and one of each kind for a sender and a receiver. sample<T>(a, b) is
// seldom sample<T>(b, a): a value that came from, or went to, the wrong rank is seen.
#pragma once

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <utility>
#include <vector>

#include "comm/world.hpp"

namespace comm_test {

/// Trivially copyable, with padding.
struct Point {
    double x, y;
    int id;
    friend bool operator==(const Point&, const Point&) = default;
};

/// Travels by its serialize.
class Wrapped {
  public:
    Wrapped() = default;
    Wrapped(int number, std::string text) : number_(number), text_(std::move(text)) {}
    int number() const { return number_; }
    const std::string& text() const { return text_; }
    friend bool operator==(const Wrapped&, const Wrapped&) = default;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & number_ & text_;
    }

  private:
    int number_ = 0;
    std::string text_;
};

/// Trivially copyable, not default-constructible.
class Id {
  public:
    explicit Id(int value) : value_(value) {}
    friend bool operator==(const Id&, const Id&) = default;

  private:
    int value_;
};

/// Travels by its members, and is not default-constructible because one of them is not.
struct Named {
    Id id;
    std::string name;
    friend bool operator==(const Named&, const Named&) = default;
};

using Kinds = testing::Types<int, bool, Point, std::string, std::list<std::string>, std::vector<bool>, Wrapped, Id, Named>;

template <class T>
struct Sample;
template <class T>
T sample(int sender, int receiver) {
    return Sample<T>::make(sender, receiver);
}

template <>
struct Sample<int> {
    static constexpr const char* name = "int";
    static int make(int sender, int receiver) { return 1000 * sender + receiver + 17; }
};
template <>
struct Sample<bool> {
    static constexpr const char* name = "bool";
    static bool make(int sender, int receiver) { return (sender + 2 * receiver) % 3 == 1; }
};
template <>
struct Sample<Point> {
    static constexpr const char* name = "Point";
    static Point make(int sender, int receiver) { return {0.1 * sender, -0.3 * receiver, 1000 * sender + receiver}; }
};
template <>
struct Sample<std::string> {
    static constexpr const char* name = "string";
    /// Of several lengths, some of them 0.
    static std::string make(int sender, int receiver) {
        if ((sender + 2 * receiver) % 5 == 4) return {};
        const std::string dots(index_of((3 * sender + receiver) % 23), '.');
        return std::to_string(sender) + " rosebud(s) for " + std::to_string(receiver) + dots;
    }
};
template <>
struct Sample<std::list<std::string>> {
    static constexpr const char* name = "list";
    static std::list<std::string> make(int sender, int receiver) {
        std::list<std::string> all;
        for (int i = 0; i < (sender + 2 * receiver) % 4; ++i) all.push_back(sample<std::string>(sender + i, receiver));
        return all;
    }
};
template <>
struct Sample<std::vector<bool>> {
    static constexpr const char* name = "vector_bool";
    static std::vector<bool> make(int sender, int receiver) {
        std::vector<bool> all;
        for (int i = 0; i < (2 * sender + 5 * receiver) % 11; ++i) all.push_back(sample<bool>(sender + i, receiver));
        return all;
    }
};
template <>
struct Sample<Wrapped> {
    static constexpr const char* name = "Wrapped";
    static Wrapped make(int sender, int receiver) { return {sample<int>(sender, receiver), sample<std::string>(sender, receiver)}; }
};
template <>
struct Sample<Id> {
    static constexpr const char* name = "Id";
    static Id make(int sender, int receiver) { return Id(sample<int>(sender, receiver)); }
};
template <>
struct Sample<Named> {
    static constexpr const char* name = "Named";
    static Named make(int sender, int receiver) { return {sample<Id>(sender, receiver), sample<std::string>(sender, receiver)}; }
};

struct KindName {
    template <class T>
    static std::string GetName(int) {
        return Sample<T>::name;
    }
};

/// What every rank has for `receiver`, in rank order.
template <class T>
std::vector<T> samples_from_all(int receiver) {
    std::vector<T> all;
    for (int sender = 0; sender < ranks(); ++sender) all.push_back(sample<T>(sender, receiver));
    return all;
}

/// What `sender` has for every rank, in rank order.
template <class T>
std::vector<T> samples_to_all(int sender) {
    std::vector<T> all;
    for (int receiver = 0; receiver < ranks(); ++receiver) all.push_back(sample<T>(sender, receiver));
    return all;
}

/// `count` values of one owner.
template <class T>
std::vector<T> samples_of(int owner, int count) {
    std::vector<T> all;
    for (int i = 0; i < count; ++i) all.push_back(sample<T>(owner, i));
    return all;
}

}  // namespace comm_test
