// A call's items and results between the user's types and bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include <rankpool/pool/call.hpp>
#include <rankpool/task/typed.hpp>

namespace rankpool::pool {

/// The items of a range as a call's input: the range's own memory where it is a row of trivially copyable items, a copy
/// of them where it is not contiguous, else each of them serialized. Refers to the range.
template <class Item>
class Rows {
  public:
    template <class Range>
    explicit Rows(Range&& items) {
        if constexpr (!task::in_rows<Item>) {
            std::size_t expected = 0;  // items; 0 where nobody knows
            if constexpr (std::ranges::sized_range<Range>) expected = static_cast<std::size_t>(std::ranges::size(items));
            ends_.reserve(expected);
            for (auto&& item : items) {
                if (ends_.size() == sample && expected > sample) reserve_for(expected);
                const std::size_t before = bytes_.size();
                try {
                    wire::encode<Item>(bytes_, item);
                } catch (...) {
                    bytes_.shrink(before);
                    refused_.emplace(ends_.size(), std::current_exception());
                }
                ends_.push_back(bytes_.size());
            }
            input_ = {ends_.size(), 0, bytes_.data(), ends_.data(), refused_.empty() ? nullptr : &refused_};
        } else if constexpr (std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range>) {
            input_ = {static_cast<std::size_t>(std::ranges::size(items)), sizeof(Item),
                      reinterpret_cast<const std::byte*>(std::ranges::data(items)), nullptr, nullptr};
        } else {
            for (const Item item : items) bytes_.append(&item, sizeof item);
            input_ = {bytes_.size() / sizeof(Item), sizeof(Item), bytes_.data(), nullptr, nullptr};
        }
    }
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;

    const CallInput& input() const { return input_; }

    /// After the call: an item that could not be serialized went out as nothing; its error is the serialization's,
    /// whatever a worker made of it.
    void add_refused(CallOutput& output) const {
        if (refused_.empty() || output.ended) return;
        if (output.keep_errors) {
            for (const auto& [index, error] : refused_) output.errors[index] = error;
        } else if (output.errors.empty() || output.errors.begin()->first >= refused_.begin()->first) {
            output.errors = {*refused_.begin()};
        }
        output.error = output.errors.begin()->second;
    }

  private:
    // Only a guess: the first items may be the largest by far.
    void reserve_for(std::size_t expected) {
        constexpr double most = std::size_t{64} << 20;
        const double guess = 1.125 * static_cast<double>(bytes_.size() / sample + 1) * static_cast<double>(expected);
        bytes_.reserve(static_cast<std::size_t>(std::min(guess, most)));
        wire::prefer_large_pages(bytes_.data(), bytes_.capacity());
    }

    static constexpr std::size_t sample = 1024;  // items that tell how large the others may be

    std::map<std::size_t, std::exception_ptr> refused_;  // by index
    wire::Buffer bytes_;
    std::vector<std::uint64_t> ends_;
    CallInput input_;
};

/// Results as they arrive, before they are values: for calls that may lack some of them.
template <class R>
class RawResults {
  public:
    RawResults() = default;
    RawResults(std::size_t count, CallOutput& output) {
        if constexpr (task::in_rows<R>) output.rows = bytes_.grow(count * sizeof(R));
    }

    R at(std::size_t index, const CallOutput& output) const {
        if constexpr (std::is_same_v<R, bool>)
            return bytes_.data()[index] != std::byte{0};
        else if constexpr (task::in_rows<R>)
            return wire::decode<R>({bytes_.data() + index * sizeof(R), sizeof(R)});
        else
            return wire::decode<R>(output.values[index]);
    }

  private:
    wire::Buffer bytes_;
};

/// Where a call's results arrive, and what they are turned into.
template <class R>
class Results {
    // Rows of these can be received right where they will stay.
    static constexpr bool in_place = task::in_rows<R> && std::is_default_constructible_v<R> && !std::is_same_v<R, bool>;
    // These become values as they come, while others are still worked on.
    static constexpr bool at_once = !task::in_rows<R> && wire::is_plain<R> && std::is_default_constructible_v<R>;

  public:
    Results(std::size_t count, CallOutput& output) : count_(count) {
        if constexpr (in_place) {
            results_.reserve(count);
            wire::prepare_pages(results_.data(), count * sizeof(R));
            results_.resize(count);
            output.rows = reinterpret_cast<std::byte*>(results_.data());
        } else if constexpr (at_once) {
            results_.reserve(count);
            wire::prefer_large_pages(results_.data(), count * sizeof(R));
            results_.resize(count);
            output.results = results_.data();
            output.take = [](void* results, std::size_t index, std::span<const std::byte> bytes) {
                static_cast<R*>(results)[index] = wire::decode<R>(bytes);
            };
        } else {
            raw_ = RawResults<R>(count, output);
        }
    }

    std::vector<R> take(CallOutput& output) {
        if constexpr (!in_place && !at_once) {
            results_.reserve(count_);
            for (std::size_t i = 0; i < count_; ++i) results_.push_back(raw_.at(i, output));
        }
        return std::move(results_);
    }

  private:
    std::size_t count_;
    std::vector<R> results_;
    RawResults<R> raw_;
};

}  // namespace rankpool::pool
