// Which types can travel to another process: rankpool::Transferable, and a readable refusal for those that cannot.
//
//     static_assert(rankpool::Transferable<std::vector<std::string>>);
//     static_assert(!rankpool::Transferable<const char*>);          // an address means nothing in another process
//
// Tested in this order:
//   1. whatever is or contains a pointer, reference, member pointer, string_view, span or other view is refused;
//   2. trivially copyable types travel as their bytes;
//   3. standard containers, string, pair, tuple, array, optional, variant, unique_ptr, chrono types, path;
//   4. types with a Boost.Serialization `serialize` (member, private with friend access, or free), shared_ptr included;
//   5. aggregates of transferable members (at most 32, no base classes).
//
// What cannot be seen: a private pointer inside a class that is not an aggregate (a trivially copyable class with one
// travels as bytes, pointer and all; it needs a copy constructor and a `serialize` that know better), a reference in a base
// class of an aggregate, what an anonymous union holds or another than first, and the private `serialize` of a final class.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <rankpool/wire/fields.hpp>

namespace boost::serialization {
class access;
}

namespace rankpool::wire {

// ---- Boost.Serialization's serialize, found without its headers ----

namespace boost_interface {

/// Looks like an archive. Its argument makes boost::serialization an associated namespace: users put free functions there.
template <class>
struct Probe {
    template <class T>
    Probe& operator&(T&&);
    template <class T>
    Probe& operator<<(T&&);
    template <class T>
    Probe& operator>>(T&&);
};
using Archive = Probe<boost::serialization::access>;

struct NoneFound {};
/// More special in the archive than Boost's own catch-all, less special in the type than a user's function: chosen when
/// there is only the former, ambiguous when there is the latter.
template <class T>
NoneFound serialize(Archive&, T&, const unsigned);

template <class T>
concept FreeFunction = std::is_class_v<T> && !requires(Archive& archive, T& value) {
    { serialize(archive, value, 0u) } -> std::same_as<NoneFound>;
};

/// Any member called serialize, private or not: a second one makes the name ambiguous.
struct SecondMember {
    int serialize;
};
template <class T>
struct Both : T, SecondMember {};
template <class T>
concept Member = std::is_class_v<T> && !std::is_final_v<T> && !requires { &Both<T>::serialize; };
template <class T>
concept FinalMember = std::is_class_v<T> && std::is_final_v<T> && requires(Archive& archive, T& value) { value.serialize(archive, 0u); };

}  // namespace boost_interface

// ---- what the standard's types are ----

template <class T, template <class...> class Template>
inline constexpr bool is_instance = false;
template <class... Args, template <class...> class Template>
inline constexpr bool is_instance<Template<Args...>, Template> = true;

/// Refers to elements that live elsewhere. What the standard declares a view (string_view and span too) says so itself;
/// the variable comes with <span>.
template <class T>
inline constexpr bool is_view = std::ranges::enable_view<T> || is_instance<T, std::initializer_list>;

template <class T>
concept Tuple = is_instance<T, std::tuple> || is_instance<T, std::pair>;

/// std::filesystem::path, known by its shape: its header is a large one.
template <class T>
concept PathLike = std::is_class_v<T> && requires(const T& value) {
    typename T::string_type;
    typename T::format;
    { value.native() } -> std::same_as<const typename T::string_type&>;
};

/// A container that can be walked and filled: the standard's, and others of their shape.
template <class T>
concept Container = std::is_class_v<T> && !is_view<T> && !PathLike<T> && requires(T& value, const T& constant) {
    typename T::value_type;
    typename T::allocator_type;
    value.begin();
    value.end();
    value.clear();
    { constant.begin() != constant.end() };
};

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t N>
inline constexpr bool is_std_array<std::array<T, N>> = true;

template <class T>
concept SharedPointer = is_instance<T, std::shared_ptr> || is_instance<T, std::weak_ptr>;

/// Has a serialize of the user's own. Free ones for the standard's types come from Boost's headers and are not needed.
template <class T>
concept Serializable =
    std::is_class_v<T> && !SharedPointer<T> &&
    (boost_interface::Member<T> || boost_interface::FinalMember<T> ||
     (!Container<T> && !PathLike<T> && !Tuple<T> && !is_std_array<T> && !is_view<T> && !is_instance<T, std::optional> &&
      !is_instance<T, std::variant> && !is_instance<T, std::unique_ptr> && boost_interface::FreeFunction<T>));

/// An aggregate whose members can be visited.
template <class T>
concept NamedFields = std::is_class_v<T> && std::is_aggregate_v<T> && !has_base<T> && field_count<T> <= most_fields;

// ---- rule 1 ----

/// `Around`: the aggregates whose members are being looked at. One that contains itself (a tree, by way of a vector) is
/// looked into once.
template <class T, class Around = TypeList<>>
constexpr bool carries_address();

template <class T, class List>
inline constexpr bool is_among = false;
template <class T, class... Listed>
inline constexpr bool is_among<T, TypeList<Listed...>> = (std::is_same_v<T, Listed> || ...);

template <class T, class Around>
struct WithinOf;
template <class T, class... Outer>
struct WithinOf<T, TypeList<Outer...>> {
    using type = TypeList<Outer..., T>;
};
template <class T, class Around>
using Within = typename WithinOf<T, Around>::type;

template <class Elements, class Around>
struct ElementsCarry;
template <template <class...> class Template, class... Elements, class Around>
struct ElementsCarry<Template<Elements...>, Around> {
    static constexpr bool value = (carries_address<Elements, Around>() || ... || false);
};

/// Converts only to what carries an address.
template <class T, class Around>
struct AnyAddress {
    template <class Member>
        requires(!std::is_same_v<Member, T> && carries_address<Member, Around>())
    operator Member&() const& noexcept {
        __builtin_trap();  // only ever named; Clang warns where it has no body
    }
    template <class Member>
        requires(!std::is_same_v<Member, T> && carries_address<Member, Around>())
    operator Member&&() const&& noexcept {
        __builtin_trap();
    }
};
/// Converts to nothing: a member that takes this takes everything, which says nothing about it.
struct AnyNothing {};

template <class T, class Around, std::size_t... Before>
constexpr bool carries_address_behind(std::index_sequence<Before...>) {
    return requires { T{std::declval<fields::Any<Before>>()..., std::declval<AnyAddress<T, Around>>()}; } &&
           !requires { T{std::declval<fields::Any<Before>>()..., std::declval<AnyNothing>()}; };
}
template <class T, class Around, std::size_t... I>
constexpr bool initialiser_carries_address(std::index_sequence<I...>) {
    return (carries_address_behind<T, Around>(std::make_index_sequence<I>{}) || ...);
}
template <class T, class Around, std::size_t... I>
constexpr bool member_carries_address(std::index_sequence<I...>) {
    return ((fields::takes_empty<T, I, AnyAddress<T, Around>>() && !fields::takes_empty<T, I, AnyNothing>()) || ...);
}

/// Whether anything that initialises an aggregate carries an address: members, bases, the first of a union. A reference
/// is not seen here.
template <class T, class Around>
constexpr bool initialised_from_address() {
    if constexpr (fields::takes_empty<T, 0>() && field_count<T> <= most_fields)
        return member_carries_address<T, Around>(std::make_index_sequence<field_count<T>>{});
    else
        return initialiser_carries_address<T, Around>(std::make_index_sequence<fields::initialisers<T>()>{});
}

/// Is, or contains where that can be seen, something that only means anything in this process.
template <class T, class Around>
constexpr bool carries_address() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<U> || std::is_reference_v<U> || std::is_member_pointer_v<U> || std::is_null_pointer_v<U> || is_view<U> ||
                  is_instance<U, std::reference_wrapper>)
        return true;
    else if constexpr (std::is_array_v<U>)
        return carries_address<std::remove_extent_t<U>, Around>();
    else if constexpr (PathLike<U> || SharedPointer<U> || Serializable<U>)
        return false;
    else if constexpr (is_std_array<U> || Container<U>)
        return carries_address<typename U::value_type, Around>();
    else if constexpr (Tuple<U> || is_instance<U, std::optional> || is_instance<U, std::variant>)
        return ElementsCarry<U, Around>::value;
    else if constexpr (is_instance<U, std::unique_ptr>)
        return carries_address<typename U::element_type, Around>();
    else if constexpr (is_among<U, Around>)
        return false;
    else if constexpr (NamedFields<U> && !std::is_copy_assignable_v<U>)  // has a reference, perhaps
        return ElementsCarry<FieldTypes<U>, Within<U, Around>>::value;
    else if constexpr (std::is_aggregate_v<U>)
        return initialised_from_address<U, Within<U, Around>>();
    else
        return false;
}

// ---- rules 2 to 5 ----

/// Types of this library that say themselves how they travel: each has a Codec of its own.
template <class T>
inline constexpr bool has_own_codec = false;

/// An aggregate with pointers that its own serialize follows.
template <class T>
constexpr bool serializes_pointers() {
    if constexpr (Serializable<T> && NamedFields<T>)
        return ElementsCarry<FieldTypes<T>, TypeList<T>>::value;
    else
        return false;
}

/// Travels as its bytes: sizeof(T) of them, no archive. (An atomic or a mutex is trivially copyable to the compiler, but
/// cannot be copied.)
template <class T>
inline constexpr bool is_bytes = std::is_trivially_copyable_v<T> && std::is_move_constructible_v<T> && !std::is_pointer_v<T> &&
                                 !std::is_array_v<T> && !carries_address<T>() && !serializes_pointers<T>();

template <class T, class Around = TypeList<>>
constexpr bool can_travel();

template <class Elements, class Around>
struct ElementsTravel;
template <template <class...> class Template, class... Elements, class Around>
struct ElementsTravel<Template<Elements...>, Around> {
    static constexpr bool value = (can_travel<Elements, Around>() && ... && true);
};

/// What a unique_ptr points to. Polymorphic objects go through Boost's archive, which makes them where they stay.
template <class T, class Around>
constexpr bool can_be_owned() {
    if constexpr (std::is_polymorphic_v<T>)
        return Serializable<T>;
    else
        return can_travel<T, Around>();
}

template <class T, class Around>
constexpr bool can_travel() {
    using U = std::remove_cv_t<T>;
    if constexpr (carries_address<U>() || std::is_void_v<U> || std::is_function_v<U> || std::is_volatile_v<T>)
        return false;
    else if constexpr (std::is_array_v<U>)
        return can_travel<std::remove_extent_t<U>, Around>();
    else if constexpr (has_own_codec<U>)
        return true;
    else if constexpr (std::is_trivially_copyable_v<U> || PathLike<U>)
        return std::is_move_constructible_v<U>;
    else if constexpr (SharedPointer<U>)
        return Serializable<std::remove_cv_t<typename U::element_type>>;  // Boost's own condition
    else if constexpr (Serializable<U>)
        return std::is_move_constructible_v<U>;
    else if constexpr (is_std_array<U> || Container<U>)
        return can_travel<std::remove_cv_t<typename U::value_type>, Around>();
    else if constexpr (Tuple<U> || is_instance<U, std::optional> || is_instance<U, std::variant>)
        return ElementsTravel<U, Around>::value;
    else if constexpr (is_instance<U, std::unique_ptr>)
        return std::is_same_v<typename U::deleter_type, std::default_delete<typename U::element_type>> &&
               !std::is_array_v<typename U::element_type> && can_be_owned<typename U::element_type, Around>();
    else if constexpr (is_among<U, Around>)
        return true;
    else if constexpr (NamedFields<U>)
        return ElementsTravel<FieldTypes<U>, Within<U, Around>>::value;
    else
        return false;
}

}  // namespace rankpool::wire

namespace rankpool {

/// A type whose values can be sent to another process. See the top of this header.
template <class T>
concept Transferable = wire::can_travel<T>();

}  // namespace rankpool

namespace rankpool::wire {

/// Refuses, at compile time and in words, a type that cannot travel. The type is named in the compiler's "required
/// from" line above the message.
template <class T>
constexpr void require_transferable() {
    static_assert(!carries_address<T>(),
                  "rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view, "
                  "and an address means nothing there. Send the value itself instead: std::string, std::vector, std::unique_ptr");
    static_assert(carries_address<T>() || Transferable<T>,
                  "rankpool: this type cannot travel to another process: it is neither trivially copyable, nor a standard container of "
                  "transferable types, nor an aggregate of at most 32 of them without base classes. Give it a Boost.Serialization "
                  "serialize function");
}

}  // namespace rankpool::wire
