// Values as bytes and back.
//
//     rankpool::wire::Buffer bytes;
//     rankpool::wire::encode(bytes, std::map<std::string, int>{{"a", 1}});
//     auto map = rankpool::wire::decode<std::map<std::string, int>>(bytes);
//
// Both ends are processes of the same build on the same kind of machine, so numbers travel as they lie in memory, lengths
// as 8 bytes, and nothing names its type. Trivially copyable values, and rows of them, are copied as one block.
// decode() believes nothing: what does not fit is a SerializationError.
#pragma once

#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include <rankpool/transferable.hpp>
#include <rankpool/wire/buffer.hpp>
#include <rankpool/wire/reader.hpp>

namespace rankpool::wire {

/// How values of T travel. Specialised by rule of transferable.hpp; users specialise nothing.
template <class T>
struct Codec;

/// Values of the standard library's whose making of bytes calls nothing of the user's.
template <class T>
inline constexpr bool is_plain = is_bytes<T> && std::is_trivially_default_constructible_v<T>;
template <class C>
inline constexpr bool is_plain<std::basic_string<C>> = is_plain<C>;
template <class T>
inline constexpr bool is_plain<std::vector<T>> = is_plain<T>;
template <class T>
inline constexpr bool is_plain<std::optional<T>> = is_plain<T>;
template <class A, class B>
inline constexpr bool is_plain<std::pair<A, B>> = is_plain<A> && is_plain<B>;
template <class... T>
inline constexpr bool is_plain<std::tuple<T...>> = (is_plain<T> && ...);

/// Part of a value, inside of encode(). Codecs call this for what they are made of.
template <class T>
void put(Buffer& out, const T& value) {
    Codec<T>::encode(out, value);
}
template <class T>
T get(Reader& in) {
    return Codec<std::remove_cv_t<T>>::decode(in);
}

/// Appends `value`. Throws SerializationError, and what the type's own serialize throws.
template <class T>
void encode(Buffer& out, const T& value);

/// The value that all of `bytes` are. Throws SerializationError when they are not.
template <class T>
T decode(std::span<const std::byte> bytes) {
    Reader in(bytes);
    T value = in.read<T>();
    if (in.remaining() != 0)
        throw SerializationError("damaged data: " + std::to_string(in.remaining()) + " bytes are left over behind a value");
    return value;
}

// ---- trivially copyable ----

template <class T>
    requires is_bytes<T>
struct Codec<T> {
    static void encode(Buffer& out, const T& value) { out.append(&value, sizeof value); }
    static T decode(Reader& in) {
        const auto bytes = in.take(sizeof(T));
        if constexpr (std::is_same_v<T, bool>) {
            if (bytes[0] > std::byte{1}) throw SerializationError("damaged data: a bool that is neither true nor false");
            return bytes[0] == std::byte{1};
        } else {
            alignas(T) std::byte place[sizeof(T)];
            std::memcpy(place, bytes.data(), sizeof(T));
            return std::move(*std::launder(reinterpret_cast<T*>(place)));
        }
    }
};

// ---- elements in place: arrays ----

template <class T>
void encode_elements(Buffer& out, const T* elements, std::size_t count) {
    if constexpr (is_bytes<T>) {
        out.append(elements, count * sizeof(T));
    } else {
        for (std::size_t i = 0; i < count; ++i) put(out, elements[i]);
    }
}

template <class T, std::size_t N>
struct Codec<T[N]> {
    static void encode(Buffer& out, const T (&value)[N]) { encode_elements(out, value, N); }
    static void decode_into(Reader& in, T (&value)[N]) {
        for (T& element : value) {
            if constexpr (std::is_array_v<T>)
                Codec<T>::decode_into(in, element);
            else
                element = get<T>(in);
        }
    }
};

template <class T, std::size_t N>
    requires(!is_bytes<std::array<T, N>>)
struct Codec<std::array<T, N>> {
    static void encode(Buffer& out, const std::array<T, N>& value) { encode_elements(out, value.data(), N); }
    static std::array<T, N> decode(Reader& in) { return decode(in, std::make_index_sequence<N>{}); }

  private:
    template <std::size_t... I>
    static std::array<T, N> decode(Reader& in, std::index_sequence<I...>) {
        return {{((void)I, get<T>(in))...}};
    }
};

// ---- containers ----

/// Types through which any memory may be read.
template <class T>
inline constexpr bool reads_any_memory = std::is_same_v<T, char> || std::is_same_v<T, unsigned char> || std::is_same_v<T, std::byte>;

template <class T>
concept Map = Container<T> && requires { typename T::mapped_type; };
template <class T>
concept Row = Container<T> && requires(T& value) {
    value.data();
    value.resize(std::size_t{});
} && is_bytes<typename T::value_type>;

template <Container T>
    requires(!Serializable<T>)
struct Codec<T> {
    using Element = typename T::value_type;

    static void encode(Buffer& out, const T& value) {
        if constexpr (Row<T>) {
            write_length(out, value.size());
            out.append(value.data(), value.size() * sizeof(Element));
        } else {
            // forward_list does not know its length: filled in behind the elements.
            const std::size_t place = out.size();
            write_length(out, 0);
            std::uint64_t length = 0;
            for (auto&& element : value) {
                encode_element(out, element);
                ++length;
            }
            std::memcpy(out.data() + place, &length, sizeof length);
        }
    }

    static T decode(Reader& in) {
        if constexpr (Row<T>) {
            T value;
            const std::size_t length = in.read_length(sizeof(Element));
            if constexpr (std::is_same_v<Element, bool> || !std::is_default_constructible_v<Element>) {
                for (std::size_t i = 0; i < length; ++i) value.push_back(get<Element>(in));
            } else {
                if constexpr (reads_any_memory<Element> && requires(const Element* bytes) { value.assign(bytes, bytes + length); }) {
                    if (length < shortest_slow_copy) {  // without being cleared first
                        const auto* bytes = reinterpret_cast<const Element*>(in.take(length).data());
                        value.assign(bytes, bytes + length);
                        return value;
                    }
                }
                value.resize(length);
                in.read_bytes(value.data(), length * sizeof(Element));
            }
            return value;
        } else {
            T value;
            std::size_t length = in.read_length();
            if constexpr (requires { value.reserve(length); }) value.reserve(length);
            if constexpr (requires { value.before_begin(); }) {
                for (auto last = value.before_begin(); length > 0; --length) last = value.insert_after(last, get<Element>(in));
            } else {
                for (; length > 0; --length) decode_element(in, value);
            }
            return value;
        }
    }

  private:
    static void write_length(Buffer& out, std::size_t length) {
        const std::uint64_t wide = length;
        out.append(&wide, sizeof wide);
    }

    template <class E>
    static void encode_element(Buffer& out, const E& element) {
        if constexpr (Map<T>) {
            put(out, element.first);
            put(out, element.second);
        } else {
            put<Element>(out, element);  // vector<bool>'s references become bools
        }
    }

    static void decode_element(Reader& in, T& value) {
        if constexpr (Map<T>) {
            auto key = get<typename T::key_type>(in);
            value.emplace_hint(value.end(), std::move(key), get<typename T::mapped_type>(in));
        } else if constexpr (requires { typename T::key_type; }) {
            value.emplace_hint(value.end(), get<Element>(in));
        } else {
            value.push_back(get<Element>(in));
        }
    }
};

// ---- pair, tuple, optional, variant, unique_ptr, path ----

template <class... T>
    requires(!is_bytes<std::tuple<T...>>)
struct Codec<std::tuple<T...>> {
    static void encode(Buffer& out, const std::tuple<T...>& value) {
        std::apply([&](const auto&... elements) { (put(out, elements), ...); }, value);
        if constexpr (sizeof...(T) == 0) out.append("", 1);  // nothing is empty: lengths can be checked
    }
    static std::tuple<T...> decode(Reader& in) {
        if constexpr (sizeof...(T) == 0) in.take(1);
        return std::tuple<T...>{get<T>(in)...};  // braces: in order
    }
};

template <class A, class B>
    requires(!is_bytes<std::pair<A, B>>)
struct Codec<std::pair<A, B>> {
    static void encode(Buffer& out, const std::pair<A, B>& value) {
        put(out, value.first);
        put(out, value.second);
    }
    static std::pair<A, B> decode(Reader& in) { return std::pair<A, B>{get<A>(in), get<B>(in)}; }
};

template <class T>
    requires(!is_bytes<std::optional<T>>)
struct Codec<std::optional<T>> {
    static void encode(Buffer& out, const std::optional<T>& value) {
        put(out, value.has_value());
        if (value) put(out, *value);
    }
    static std::optional<T> decode(Reader& in) {
        if (!get<bool>(in)) return std::nullopt;
        return std::optional<T>(get<T>(in));
    }
};

template <class... T>
    requires(!is_bytes<std::variant<T...>>)
struct Codec<std::variant<T...>> {
    using Value = std::variant<T...>;

    static void encode(Buffer& out, const Value& value) {
        put(out, static_cast<std::uint32_t>(value.index()));
        if (!value.valueless_by_exception()) std::visit([&](const auto& held) { put(out, held); }, value);
    }
    static Value decode(Reader& in) {
        const auto index = get<std::uint32_t>(in);
        return decode<0>(in, index);
    }

  private:
    template <std::size_t I>
    static Value decode(Reader& in, std::uint32_t index) {
        if constexpr (I == sizeof...(T)) {
            throw SerializationError("damaged data: a variant holds alternative " + std::to_string(index) + " of " + std::to_string(I));
        } else {
            if (index == I) return Value(std::in_place_index<I>, get<std::variant_alternative_t<I, Value>>(in));
            return decode<I + 1>(in, index);
        }
    }
};

template <class T>
    requires(!std::is_polymorphic_v<T>)
struct Codec<std::unique_ptr<T>> {
    static void encode(Buffer& out, const std::unique_ptr<T>& value) {
        put(out, value != nullptr);
        if (value) put(out, *value);
    }
    static std::unique_ptr<T> decode(Reader& in) {
        if (!get<bool>(in)) return nullptr;
        return std::unique_ptr<T>(new T(get<T>(in)));
    }
};

template <PathLike T>
struct Codec<T> {
    static void encode(Buffer& out, const T& value) { put(out, value.native()); }
    static T decode(Reader& in) { return T(get<typename T::string_type>(in)); }
};

// ---- aggregates ----

template <class T>
    requires(std::is_class_v<T> && std::is_aggregate_v<T> && !is_bytes<T> && !Serializable<T> && !is_std_array<T> && !Container<T>)
struct Codec<T> {
    static void encode(Buffer& out, const T& value) {
        visit_fields(value, [&](const auto&... members) { (put(out, members), ...); });
        if constexpr (field_count<T> == 0) out.append("", 1);
    }
    static T decode(Reader& in) {
        if constexpr (field_count<T> == 0) {
            in.take(1);
            return T{};
        } else if constexpr (has_array(FieldTypes<T>{})) {
            T value{};
            visit_fields(value, [&](auto&... members) { (decode_member(in, members), ...); });
            return value;
        } else {
            return build(in, FieldTypes<T>{});
        }
    }

  private:
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // a bit-field's value comes as its whole type
    template <class... M>
    static T build(Reader& in, TypeList<M...>) {
        return T{Codec<std::remove_const_t<M>>::decode(in)...};  // braces: in order
    }
#pragma GCC diagnostic pop
    template <class... M>
    static constexpr bool has_array(TypeList<M...>) {
        return (std::is_array_v<M> || ...);
    }
    template <class M>
    static void decode_member(Reader& in, M& member) {
        if constexpr (std::is_array_v<M>)
            Codec<M>::decode_into(in, member);
        else
            member = get<M>(in);
    }
};

}  // namespace rankpool::wire

// Codecs of the types with a serialize, and encode() and read(), which need to know of them.
#include <rankpool/wire/boost_archive.hpp>
