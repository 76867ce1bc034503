// Which types can travel to another process: rankpool::Transferable, and a readable refusal for those that cannot.
//
//     static_assert(rankpool::Transferable<std::vector<std::string>>);
//     static_assert(!rankpool::Transferable<const char*>);          // an address means nothing in another process
//
// Tested in this order:
//   1. whatever is or contains a pointer, reference, member pointer, string_view or span is refused;
//   2. trivially copyable types travel as their bytes;
//   3. standard containers, string, pair, tuple, array, optional, variant, unique_ptr, chrono types, path;
//   4. types with a Boost.Serialization `serialize` (member, private with friend access, or free), shared_ptr included;
//   5. aggregates of transferable members (at most 32, no base classes).
//
// A private pointer inside a class that is not an aggregate cannot be seen: a trivially copyable class with one travels
// as bytes, pointer and all. Such a class needs a copy constructor and a `serialize` that know better.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
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

template <class T>
inline constexpr bool is_view = is_instance<T, std::basic_string_view>;
template <class T, std::size_t N>
inline constexpr bool is_view<std::span<T, N>> = true;

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

// ---- rule 1 ----

template <class T>
constexpr bool carries_address();

template <class... T>
struct AnyCarries {
    static constexpr bool value = (carries_address<T>() || ...);
};
template <class T>
struct ElementsCarry;
template <template <class...> class Template, class... Args>
struct ElementsCarry<Template<Args...>> : AnyCarries<Args...> {};

template <class... T>
struct ElementsCarry<TypeList<T...>> : AnyCarries<T...> {};
template <class T>
using FieldsCarry = ElementsCarry<FieldTypes<T>>;

/// Is, or contains where that can be seen, something that only means anything in this process.
template <class T>
constexpr bool carries_address() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<U> || std::is_reference_v<U> || std::is_member_pointer_v<U> || std::is_null_pointer_v<U> || is_view<U> ||
                  is_instance<U, std::reference_wrapper>)
        return true;
    else if constexpr (std::is_array_v<U>)
        return carries_address<std::remove_extent_t<U>>();
    else if constexpr (PathLike<U> || SharedPointer<U> || Serializable<U>)
        return false;
    else if constexpr (is_std_array<U> || Container<U>)
        return carries_address<typename U::value_type>();
    else if constexpr (Tuple<U> || is_instance<U, std::optional> || is_instance<U, std::variant>)
        return ElementsCarry<U>::value;
    else if constexpr (is_instance<U, std::unique_ptr>)
        return carries_address<typename U::element_type>();
    else if constexpr (std::is_class_v<U> && std::is_aggregate_v<U> && !has_base<U>)
        return FieldsCarry<U>::value;
    else
        return false;
}

// ---- rules 2 to 5 ----

/// An aggregate with pointers that its own serialize follows.
template <class T>
constexpr bool serializes_pointers() {
    if constexpr (std::is_class_v<T> && Serializable<T> && std::is_aggregate_v<T> && !has_base<T>)
        return FieldsCarry<T>::value;
    else
        return false;
}

/// Travels as its bytes: sizeof(T) of them, no archive.
template <class T>
inline constexpr bool is_bytes = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_array_v<T> &&
                                 !carries_address<T>() && !serializes_pointers<T>();

template <class T>
constexpr bool can_travel();

template <class T>
struct ElementsTravel;
template <template <class...> class Template, class... Args>
struct ElementsTravel<Template<Args...>> {
    static constexpr bool value = (can_travel<Args>() && ... && true);
};
template <class T>
using FieldsTravel = ElementsTravel<FieldTypes<T>>;

template <class T>
constexpr bool can_travel() {
    using U = std::remove_cv_t<T>;
    if constexpr (carries_address<U>() || std::is_void_v<U> || std::is_function_v<U> || std::is_volatile_v<T>)
        return false;
    else if constexpr (std::is_array_v<U>)
        return can_travel<std::remove_extent_t<U>>();
    else if constexpr (std::is_trivially_copyable_v<U> || PathLike<U>)
        return true;
    else if constexpr (SharedPointer<U>)
        return Serializable<std::remove_cv_t<typename U::element_type>>;  // Boost's own condition
    else if constexpr (Serializable<U>)
        return true;
    else if constexpr (is_std_array<U> || Container<U>)
        return can_travel<std::remove_cv_t<typename U::value_type>>();
    else if constexpr (Tuple<U> || is_instance<U, std::optional> || is_instance<U, std::variant>)
        return ElementsTravel<U>::value;
    else if constexpr (is_instance<U, std::unique_ptr>)
        return std::is_same_v<typename U::deleter_type, std::default_delete<typename U::element_type>> &&
               !std::is_array_v<typename U::element_type> && can_travel<typename U::element_type>();
    else if constexpr (std::is_class_v<U> && std::is_aggregate_v<U> && !has_base<U>)
        return FieldsTravel<U>::value;
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
                  "rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view or span, "
                  "and an address means nothing there. Send the value itself instead: std::string, std::vector, std::unique_ptr");
    static_assert(carries_address<T>() || Transferable<T>,
                  "rankpool: this type cannot travel to another process: it is neither trivially copyable, nor a standard container of "
                  "transferable types, nor an aggregate of them. Give it a Boost.Serialization serialize function");
}

}  // namespace rankpool::wire
