// An item's value or its error: what map_outcomes gives for every item, so that one failure does not hide the others.
//
//     for (auto& outcome : pool.map_outcomes(parse, files))
//         if (outcome.has_value()) use(outcome.value());
//         else report(outcome.error());
#pragma once

#include <exception>
#include <stdexcept>
#include <utility>
#include <variant>

namespace rankpool {

/// The value of an item, or the exception that its task ended with.
template <class R>
class Outcome {
  public:
    explicit Outcome(R value) : held_(std::in_place_index<1>, std::move(value)) {}
    explicit Outcome(std::exception_ptr error) : held_(std::in_place_index<0>, std::move(error)) {}

    bool has_value() const noexcept { return held_.index() == 1; }
    explicit operator bool() const noexcept { return has_value(); }
    /// The value; throws the error where there is none.
    R& value() & {
        if (!has_value()) std::rethrow_exception(std::get<0>(held_));
        return std::get<1>(held_);
    }
    const R& value() const& {
        if (!has_value()) std::rethrow_exception(std::get<0>(held_));
        return std::get<1>(held_);
    }
    R&& value() && { return std::move(value()); }
    /// The error; null where there is a value.
    std::exception_ptr error() const { return has_value() ? nullptr : std::get<0>(held_); }

  private:
    std::variant<std::exception_ptr, R> held_;
};

/// Of a function that returns nothing: whether it returned.
template <>
class Outcome<void> {
  public:
    Outcome() = default;
    explicit Outcome(std::exception_ptr error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return error_ == nullptr; }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const {
        if (error_) std::rethrow_exception(error_);
    }
    std::exception_ptr error() const { return error_; }

  private:
    std::exception_ptr error_;
};

}  // namespace rankpool
