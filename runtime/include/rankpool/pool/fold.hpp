// How map_reduce folds: in blocks that depend on the number of values only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <rankpool/task/callable.hpp>

namespace rankpool::pool {

/// Folds a block of values from the left with an operation.
template <class Operation, class T>
struct Fold {
    Operation operation;
    T operator()(std::vector<T> values) {
        T result = std::move(values.front());
        for (std::size_t i = 1; i < values.size(); ++i) result = operation(std::move(result), static_cast<T>(std::move(values[i])));
        return result;
    }
};

/// The values in blocks, none empty: at least 1,024 each, at most 256 blocks.
template <class T, class R>
std::vector<std::vector<T>> fixed_blocks(std::vector<R> values) {
    constexpr std::size_t shortest = 1024, most = 256;
    const std::size_t length = std::max(shortest, (values.size() + most - 1) / most);
    std::vector<std::vector<T>> blocks;
    for (std::size_t begin = 0; begin < values.size(); begin += length) {
        auto& block = blocks.emplace_back();
        const std::size_t end = std::min(values.size(), begin + length);
        block.reserve(end - begin);
        for (std::size_t i = begin; i < end; ++i) block.push_back(static_cast<T>(std::move(values[i])));
    }
    return blocks;
}

}  // namespace rankpool::pool

namespace rankpool::task {

template <class Operation, class T>
struct Codec<pool::Fold<Operation, T>> {
    static void encode(wire::Buffer& out, const pool::Fold<Operation, T>& fold, bool trusted) { Codec<Operation>::encode(out, fold.operation, trusted); }
    static pool::Fold<Operation, T> decode(wire::Reader& in) { return {Codec<Operation>::decode(in)}; }
};

}  // namespace rankpool::task
