// Arguments that all items of a call share: they travel once per call, not once per item.
//
//     double score(std::span<const double> table, const Model& model, int item);
//
//     auto scores = pool.map(rankpool::bind_shared(score, table, model), items);   // table: any contiguous range of doubles
//     rankpool::PoolOptions options{.initializer = rankpool::bind_shared(load, std::string("weights.bin"))};
//
// A contiguous range of trivially copyable elements can be received as std::span<const T>: it lies once on each node, where
// its workers read it and cannot write. Anything else, and ranges that are received as what they were, is rebuilt once in
// each worker and received as const T&.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/task/callable.hpp>
#include <rankpool/task/typed.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::task {

/// A range whose elements can be read where they lie, and which can be rebuilt from them.
template <class A>
concept SharedRange = std::ranges::contiguous_range<const A> && std::ranges::sized_range<const A> && in_rows<std::ranges::range_value_t<A>> &&
                      std::is_constructible_v<A, const std::ranges::range_value_t<A>*, const std::ranges::range_value_t<A>*>;

/// One of the arguments. Where it was bound it holds the value, in a worker what arrived of it.
template <class A>
class SharedArgument {
  public:
    explicit SharedArgument(A value) : value_(std::make_shared<const A>(std::move(value))) {}

    const A& get() const { return *value_; }

    static void encode(wire::Buffer& out, const SharedArgument& argument) {
        wire::require_transferable<A>();
        wire::encode(out, *argument.value_);
    }
    static SharedArgument decode(wire::Reader& in) { return SharedArgument(in.read<A>()); }

  private:
    std::shared_ptr<const A> value_;
};

template <SharedRange A>
class SharedArgument<A> {
    using T = std::ranges::range_value_t<A>;

  public:
    explicit SharedArgument(A value) : state_(std::make_shared<State>()) {
        state_->value.emplace(std::move(value));
        state_->elements = {std::ranges::data(*state_->value), std::ranges::size(*state_->value)};
    }

    std::span<const T> elements() const { return state_->elements; }
    /// The range itself: rebuilt from its elements when it is first asked for.
    const A& get() const {
        std::call_once(state_->rebuilt, [this] {
            if (!state_->value) state_->value.emplace(state_->elements.data(), state_->elements.data() + state_->elements.size());
        });
        return *state_->value;
    }

    static void encode(wire::Buffer& out, const SharedArgument& argument) {
        wire::require_transferable<T>();
        const auto elements = argument.elements();
        const std::uint64_t count = elements.size();
        out.append(&count, sizeof count);
        // So that they can be read in place: the bytes of a function begin at an address that suits every type.
        while (out.size() % alignof(T) != 0) *out.grow(1) = std::byte{0};
        out.append(elements.data(), elements.size_bytes());
    }
    static SharedArgument decode(wire::Reader& in) {
        const std::size_t count = in.read_length();
        (void)in.take((alignof(T) - in.offset() % alignof(T)) % alignof(T));
        if (count > in.remaining() / sizeof(T)) throw SerializationError("damaged data: a shared argument is larger than what came of it");
        const auto bytes = in.take(count * sizeof(T));
        SharedArgument argument;
        if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0) {
            argument.state_->elements = {reinterpret_cast<const T*>(bytes.data()), count};
        } else {  // on threads the bytes lie where malloc put them
            argument.state_->aligned = std::make_unique<Row[]>(count);
            wire::copy_bytes(argument.state_->aligned.get(), bytes.data(), bytes.size());
            argument.state_->elements = {reinterpret_cast<const T*>(argument.state_->aligned.get()), count};
        }
        return argument;
    }

  private:
    struct alignas(T) Row {
        std::byte bytes[sizeof(T)];
    };
    struct State {
        std::span<const T> elements;
        std::once_flag rebuilt;
        std::optional<A> value;
        std::unique_ptr<Row[]> aligned;
    };
    SharedArgument() : state_(std::make_shared<State>()) {}
    std::shared_ptr<State> state_;
};

/// The parameters of a callable that has one signature; of others nothing is known.
template <class F>
struct Parameters {
    using Types = void;
};
template <class R, class... P>
struct Parameters<std::function<R(P...)>> {
    using Types = std::tuple<P...>;
};
template <class F>
    requires requires { std::function{std::declval<F>()}; }
struct Parameters<F> : Parameters<decltype(std::function{std::declval<F>()})> {};
template <class F>
struct Parameters<Trusted<F>> : Parameters<F> {};

/// Whether parameter I of F asks for a span: then it gets the elements where they lie.
template <class F, std::size_t I, class T, class Types = typename Parameters<F>::Types>
inline constexpr bool asks_for_span = false;
template <class F, std::size_t I, class T, class... P>
    requires(I < sizeof...(P))
inline constexpr bool asks_for_span<F, I, T, std::tuple<P...>> = std::is_same_v<std::remove_cvref_t<std::tuple_element_t<I, std::tuple<P...>>>, std::span<const T>>;

/// A callable whose first arguments are bound; made by rankpool::bind_shared().
template <class F, class... A>
struct Bound {
    F function;
    std::tuple<SharedArgument<A>...> shared;

    template <class... Items>
        requires std::is_invocable_v<F&, const A&..., Items...>
    decltype(auto) operator()(Items&&... items) {
        return call(std::index_sequence_for<A...>(), std::forward<Items>(items)...);
    }
    template <class... Items>
        requires std::is_invocable_v<F&, const A&..., Items...>
    decltype(auto) operator()(Items&&... items) const {
        return Bound(*this)(std::forward<Items>(items)...);
    }

  private:
    template <std::size_t... I, class... Items>
    decltype(auto) call(std::index_sequence<I...>, Items&&... items) {
        return std::invoke(function, passed<I>()..., std::forward<Items>(items)...);
    }
    template <std::size_t I>
    decltype(auto) passed() const {
        using Argument = std::tuple_element_t<I, std::tuple<A...>>;
        const auto& argument = std::get<I>(shared);
        if constexpr (SharedRange<Argument>) {
            if constexpr (asks_for_span<F, I, std::ranges::range_value_t<Argument>>)
                return argument.elements();
            else
                return argument.get();
        } else {
            return argument.get();
        }
    }
};

template <class F, class... A>
struct Codec<Bound<F, A...>> {
    static void encode(wire::Buffer& out, const Bound<F, A...>& bound, bool trusted) {
        Codec<F>::encode(out, bound.function, trusted);
        std::apply([&](const auto&... shared) { (std::decay_t<decltype(shared)>::encode(out, shared), ...); }, bound.shared);
    }
    static Bound<F, A...> decode(wire::Reader& in) {
        // In braces: from the left to the right.
        return Bound<F, A...>{Codec<F>::decode(in), std::tuple<SharedArgument<A>...>{SharedArgument<A>::decode(in)...}};
    }
};

/// What a bound argument is kept as: text as a string, an array as a vector of its elements.
template <class A, class Plain = std::remove_cvref_t<A>>
struct Kept {
    using Type = Plain;
};
template <class A, class T, std::size_t N>
struct Kept<A, T[N]> {
    using Type = std::conditional_t<std::is_same_v<std::remove_cv_t<T>, char>, std::string, std::vector<std::remove_cv_t<T>>>;
};
template <class A>
struct Kept<A, const char*> {
    using Type = std::string;
};
template <class A, class T, std::size_t Extent>
struct Kept<A, std::span<T, Extent>> {
    using Type = std::span<const T>;
};

template <class A>
SharedArgument<typename Kept<A>::Type> share_argument(A&& argument) {
    using Type = typename Kept<A>::Type;
    if constexpr (std::is_array_v<std::remove_reference_t<A>> && !std::is_same_v<Type, std::string>)
        return SharedArgument<Type>(Type(std::begin(argument), std::end(argument)));
    else
        return SharedArgument<Type>(Type(std::forward<A>(argument)));
}

}  // namespace rankpool::task

namespace rankpool {

/// A task function that is called as function(arguments..., item): `arguments` are transferable values, copied or moved here,
/// which travel once per call of map and friends. A std::span or std::string_view is not copied here: what it refers to
/// must stay until the call is made, and its elements travel. As an initializer: function(arguments...). Local.
template <class F, class... Arguments>
auto bind_shared(F&& function, Arguments&&... arguments) {
    using Bound = task::Bound<std::decay_t<F>, typename task::Kept<Arguments>::Type...>;
    return Bound{std::forward<F>(function), {task::share_argument(std::forward<Arguments>(arguments))...}};
}

}  // namespace rankpool
