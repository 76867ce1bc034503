// Calls with their types: between Pool's templates and the untyped calls of call.hpp.
#pragma once

#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <rankpool/async_result.hpp>
#include <rankpool/outcome.hpp>
#include <rankpool/pool/call.hpp>
#include <rankpool/pool/rows.hpp>
#include <rankpool/result_range.hpp>
#include <rankpool/task/typed.hpp>

namespace rankpool::pool {

/// A function and the type of its items: what travels of it, and what comes back.
template <class F, class Item>
struct TypedFunction {
    using Function = std::decay_t<F>;
    static_assert(std::is_invocable_v<Function&, Item&&>, "rankpool: the function cannot be called with the range's items");
    using Raw = task::RawResult<Function, Item>;
    using R = task::Result<Function, Item>;  // char for void
    static constexpr bool returns_nothing = std::is_void_v<Raw>;
    /// What the user gets for an item.
    using Value = std::conditional_t<returns_nothing, void, R>;

    explicit TypedFunction(F&& function) {
        wire::require_transferable<Item>();
        wire::require_transferable<R>();
        const Function callable(std::forward<F>(function));
        task::Codec<Function>::encode(bytes, callable, false);
    }

    static constexpr const task::Descriptor& descriptor() { return task::Typed<Function, Item>::descriptor; }

    wire::Buffer bytes;
};

/// What a blocking or asynchronous call of many items returns.
template <class Value>
using AllOf = std::conditional_t<std::is_void_v<Value>, void, std::vector<Stored<Value>>>;

template <class Item, class Typed, class Items>
auto call_now(const std::shared_ptr<Core>& core, const Typed& function, Items&& items, const MapOptions& options) {
    const Rows<Item> rows(items);
    CallOutput output;
    Results<typename Typed::R> results(rows.input().count, output);
    run_call(core, function.descriptor(), function.bytes, rows.input(), options, output);
    rows.add_refused(output);
    if (output.error) std::rethrow_exception(output.error);
    if constexpr (!Typed::returns_nothing) return results.take(output);
}

template <class Item, class Typed, class Items>
auto call_for_outcomes(const std::shared_ptr<Core>& core, const Typed& function, Items&& items, const MapOptions& options) {
    const Rows<Item> rows(items);
    CallOutput output;
    output.keep_errors = true;
    const std::size_t count = rows.input().count;
    RawResults<typename Typed::R> results(count, output);
    run_call(core, function.descriptor(), function.bytes, rows.input(), options, output);
    rows.add_refused(output);
    // An error of the call that befell no item (it was refused as a whole) is thrown.
    if (output.error && (output.ended || output.errors.empty())) std::rethrow_exception(output.error);
    using Each = Outcome<typename Typed::Value>;
    std::vector<Each> outcomes;
    outcomes.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (const auto error = output.errors.find(i); error != output.errors.end()) {
            outcomes.push_back(Each(error->second));
            continue;
        }
        try {
            if constexpr (Typed::returns_nothing)
                outcomes.push_back(Each());
            else
                outcomes.push_back(Each(results.at(i, output)));
        } catch (...) {
            outcomes.push_back(Each(std::current_exception()));
        }
    }
    return outcomes;
}

/// An asynchronous call: holds its input and output until it is over, and its result for the handles. `One`: of a single
/// item, whose result it is.
template <class Item, class Typed, class Items, bool One>
class AsyncCall final : public AsyncState<Stored<std::conditional_t<One, typename Typed::Value, AllOf<typename Typed::Value>>>> {
    using Result = std::conditional_t<One, typename Typed::Value, AllOf<typename Typed::Value>>;

  public:
    explicit AsyncCall(Items items) : items_(std::move(items)), rows_(std::in_place, items_), results_(rows_->input().count, output_) {}

    const CallInput& input() const { return rows_->input(); }
    CallOutput& output() { return output_; }

  private:
    Stored<Result> convert() override {
        rows_->add_refused(output_);
        if (output_.error) std::rethrow_exception(output_.error);
        if constexpr (Typed::returns_nothing) {
            return {};
        } else if constexpr (One) {
            auto all = results_.take(output_);
            return static_cast<Stored<Result>>(std::move(all.front()));
        } else {
            return results_.take(output_);
        }
    }

    Items items_;
    std::optional<Rows<Item>> rows_;
    CallOutput output_;
    Results<typename Typed::R> results_;
};

/// Ranges that can be copied: a container can where its items can, whatever it says of itself.
template <class Range>
inline constexpr bool is_copied = std::is_copy_constructible_v<Range> && (std::ranges::view<Range> || std::is_copy_constructible_v<std::ranges::range_value_t<Range>>);

/// The input as an asynchronous call keeps it: what is an rvalue is taken, what is not is copied.
template <class Item, class Items>
auto kept(Items&& items) {
    if constexpr (std::is_array_v<std::remove_reference_t<Items>>) {
        return std::vector<Item>(std::ranges::begin(items), std::ranges::end(items));
    } else if constexpr (std::is_lvalue_reference_v<Items> && !is_copied<std::decay_t<Items>>) {
        static_assert(std::is_constructible_v<Item, std::ranges::range_reference_t<Items>>,
                      "rankpool: items that cannot be copied: give their range as an rvalue (std::move)");
        std::vector<Item> all;  // a single-pass range that cannot be copied: its items are
        for (auto&& item : items) all.push_back(static_cast<Item>(std::forward<decltype(item)>(item)));
        return all;
    } else {
        return std::decay_t<Items>(std::forward<Items>(items));
    }
}

template <bool One, class Item, class Typed, class Items>
auto call_async(const std::shared_ptr<Core>& core, const Typed& function, Items&& items, const MapOptions& options) {
    auto owned = kept<Item>(std::forward<Items>(items));
    using State = AsyncCall<Item, Typed, decltype(owned), One>;
    auto state = std::make_shared<State>(std::move(owned));
    state->set_call(start_call(core, function.descriptor(), function.bytes, state->input(), options, state->output(), state));
    using Result = std::conditional_t<One, typename Typed::Value, AllOf<typename Typed::Value>>;
    return AsyncResult<Result>(state);
}

/// An input that is read item by item, as its results are asked for.
template <class Item, class Range>
class PulledInput {
  public:
    explicit PulledInput(Range range) : range_(std::forward<Range>(range)) {}

    bool operator()(wire::Buffer& out) {
        if (ended_) return false;
        if (!place_)
            place_.emplace(std::ranges::begin(range_), std::ranges::end(range_));
        else
            ++place_->first;
        if (place_->first == place_->second) {
            ended_ = true;
            return false;
        }
        if constexpr (task::in_rows<Item>) {
            const Item item = *place_->first;
            out.append(&item, sizeof item);
        } else {
            auto&& item = *place_->first;
            try {
                wire::encode<Item>(out, item);
            } catch (...) {
                throw RefusedItem{std::current_exception()};
            }
        }
        return true;
    }

  private:
    using Held = std::remove_reference_t<Range>;
    Range range_;  // a reference where the caller's range cannot be copied
    std::optional<std::pair<std::ranges::iterator_t<Held>, std::ranges::sentinel_t<Held>>> place_;
    bool ended_ = false;
};

template <class Typed, bool Ordered>
class StreamSource final : public ResultSource<std::conditional_t<Ordered, Stored<typename Typed::Value>, std::pair<std::size_t, Stored<typename Typed::Value>>>> {
    using Value = Stored<typename Typed::Value>;
    using Result = std::conditional_t<Ordered, Value, std::pair<std::size_t, Value>>;

  public:
    explicit StreamSource(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
    ~StreamSource() override { drop_stream(*stream_); }
    StreamSource(const StreamSource&) = delete;
    StreamSource& operator=(const StreamSource&) = delete;

    std::optional<Result> next(Deadline until) override {
        StreamItem item = next_of(*stream_, until);
        switch (item.kind) {
            case StreamItem::end: return std::nullopt;
            case StreamItem::timeout: throw TimeoutError("the next result was not ready in time");
            case StreamItem::error: std::rethrow_exception(item.what);
            case StreamItem::result: break;
        }
        if constexpr (Ordered)
            return std::optional<Result>(decode(item));
        else
            return std::optional<Result>(std::in_place, item.index, decode(item));
    }

  private:
    static Value decode(const StreamItem& item) {
        if constexpr (Typed::returns_nothing)
            return {};
        else
            return wire::decode<Value>(item.bytes);
    }
    std::shared_ptr<Stream> stream_;
};

template <bool Ordered, class Item, class Typed, class Items>
auto stream_of(const std::shared_ptr<Core>& core, const Typed& function, Items&& items, const MapOptions& options) {
    using Held = std::decay_t<Items>;
    using Range = std::conditional_t<!std::is_lvalue_reference_v<Items> || is_copied<Held>, Held, Held&>;
    auto input = std::make_shared<PulledInput<Item, Range>>(std::forward<Items>(items));
    using Source = StreamSource<Typed, Ordered>;
    using Result = std::conditional_t<Ordered, Stored<typename Typed::Value>, std::pair<std::size_t, Stored<typename Typed::Value>>>;
    return ResultRange<Result>(std::make_unique<Source>(
        open_stream(core, function.descriptor(), function.bytes, options, Ordered, [input](wire::Buffer& out) { return (*input)(out); })));
}

template <bool Ordered, class Item, class Typed, class Items>
auto stream(const std::shared_ptr<Core>& core, const Typed& function, Items&& items, const MapOptions& options) {
    if constexpr (std::is_array_v<std::remove_reference_t<Items>>)
        return stream_of<Ordered, Item>(core, function, kept<Item>(items), options);
    else
        return stream_of<Ordered, Item>(core, function, std::forward<Items>(items), options);
}

}  // namespace rankpool::pool
