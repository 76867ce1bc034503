// Types with a Boost.Serialization serialize: Boost's interface over our own flat bytes, Boost's own archive for pointers.
//
//     struct Particle {
//         double mass;
//         std::vector<double> position;
//         template <class Archive>
//         void serialize(Archive& archive, unsigned version) { archive & mass & position; }
//     };
//
// Boost's archives look every object up in a set and write every number through a stream buffer; ours satisfy the same
// concept and do neither. What needs tracking (pointers, shared_ptr, polymorphic types) goes, in the order met, into one
// real Boost archive for the whole value, which travels behind the flat bytes: identity and cycles among what is reached
// through pointers survive as in Boost. (A pointer to a part of the value that is not itself reached through a pointer
// arrives as a pointer to a copy.)
//
//     flat length | flat bytes | tracked length | Boost archive
#pragma once

#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/level.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/unique_ptr.hpp>
#include <boost/serialization/weak_ptr.hpp>

#include <memory>
#include <type_traits>

#include <rankpool/wire/archive.hpp>
#include <rankpool/wire/tracked.hpp>

namespace rankpool::wire {

// ---- which values can meet pointers ----

template <class T, class Around = TypeList<>>
constexpr bool may_track();

template <class Elements, class Around>
struct ElementsMayTrack;
template <template <class...> class Template, class... Elements, class Around>
struct ElementsMayTrack<Template<Elements...>, Around> {
    static constexpr bool value = (may_track<Elements, Around>() || ... || false);
};

/// Whether a value of T may need the Boost archive: it is or contains a type with a serialize, whose body nobody can see.
template <class T, class Around>
constexpr bool may_track() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_array_v<U>)
        return may_track<std::remove_extent_t<U>, Around>();
    else if constexpr (is_bytes<U> || PathLike<U> || !std::is_class_v<U>)
        return false;
    else if constexpr (SharedPointer<U> || Serializable<U>)
        return true;
    else if constexpr (is_std_array<U> || Container<U>)
        return may_track<std::remove_cv_t<typename U::value_type>, Around>();
    else if constexpr (is_instance<U, std::unique_ptr>)
        return may_track<typename U::element_type, Around>();
    else if constexpr (Tuple<U> || is_instance<U, std::optional> || is_instance<U, std::variant>)
        return ElementsMayTrack<U, Around>::value;
    else if constexpr (is_among<U, Around>)
        return false;
    else if constexpr (NamedFields<U>)
        return ElementsMayTrack<FieldTypes<U>, Within<U, Around>>::value;
    else
        return false;
}

// ---- the flat archives ----

/// Version of a class as BOOST_CLASS_VERSION sets it.
template <class T>
constexpr unsigned class_version() {
    return static_cast<unsigned>(boost::serialization::version<T>::value);
}

/// A pointer to a class goes into the Boost archive, to be tracked; others have no meaning elsewhere.
template <class T>
concept TrackedPointer = (std::is_pointer_v<T> && std::is_class_v<std::remove_pointer_t<T>>) || SharedPointer<T> ||
                         (is_instance<T, std::unique_ptr> && std::is_polymorphic_v<typename T::element_type>);

/// An object's own serialize; `from` and `to` may be parts of another object, a base class say.
template <class T>
void save_object(Buffer& out, const T& from);
template <class T>
void load_object(Reader& in, T& to);

/// A type whose serialize does the work.
template <class T>
concept FlatObject = Serializable<T> && !is_bytes<T> && !SharedPointer<T>;

/// Boost's own numbers with a name (collection_size_type, item_version_type): bytes to its archives, too.
template <class T>
concept NamedNumber = std::is_class_v<T> && !Transferable<T> && !SharedPointer<T> &&
                      boost::serialization::implementation_level<T>::value == boost::serialization::primitive_type;

/// What a serialize function gets as `archive` when a value is written. The argument makes boost::serialization an
/// associated namespace.
template <class Boost>
class FlatOutput {
  public:
    using is_saving = std::true_type;
    using is_loading = std::false_type;

    explicit FlatOutput(Buffer& out) : out_(out) {}

    template <class T>
    FlatOutput& operator<<(const T& value) {
        save(value);
        return *this;
    }
    template <class T>
    FlatOutput& operator&(const T& value) {
        return *this << value;
    }
    void save_binary(const void* bytes, std::size_t count) { out_.append(bytes, count); }
    template <class T>
    void save_array(const boost::serialization::array_wrapper<T>& array, unsigned) {
        save(array);
    }
    template <class T>
    void register_type(const T* = nullptr) {
        TrackedOutput::register_type<T>();
    }
    boost::archive::library_version_type get_library_version() const { return boost::archive::BOOST_ARCHIVE_VERSION(); }
    unsigned get_flags() const { return boost_archive_flags; }

  private:
    template <class T>
    void save(const T& value) {
        if constexpr (TrackedPointer<T>) {
            TrackedOutput::save(value);
        } else if constexpr (FlatObject<T>) {
            save_object(out_, value);
        } else if constexpr (NamedNumber<T>) {
            save_binary(&value, sizeof value);
        } else {
            static_assert(!std::is_pointer_v<T>, "rankpool: a serialize function cannot send a pointer to something that is no class");
            put(out_, value);
        }
    }
    template <class T>
    void save(const boost::serialization::nvp<T>& pair) {
        *this << pair.const_value();
    }
    template <class T>
    void save(const boost::serialization::array_wrapper<T>& array) {
        if constexpr (is_bytes<T>)
            save_binary(array.address(), array.count() * sizeof(T));
        else
            for (std::size_t i = 0; i < array.count(); ++i) *this << array.address()[i];
    }
    void save(const boost::serialization::binary_object& object) { save_binary(object.m_t, object.m_size); }

    Buffer& out_;
};

/// … and when it is read.
template <class Boost>
class FlatInput {
  public:
    using is_saving = std::false_type;
    using is_loading = std::true_type;

    explicit FlatInput(Reader& in) : in_(in) {}

    template <class T>
    FlatInput& operator>>(T&& value) {
        load(value);
        return *this;
    }
    template <class T>
    FlatInput& operator&(T&& value) {
        return *this >> value;
    }
    void load_binary(void* bytes, std::size_t count) { in_.read_bytes(bytes, count); }
    template <class T>
    void load_array(boost::serialization::array_wrapper<T>& array, unsigned) {
        load(array);
    }
    template <class T>
    void register_type(const T* = nullptr) {
        TrackedInput::register_type<T>();
    }
    template <class T>
    void reset_object_address(const T*, const T*) {}
    boost::archive::library_version_type get_library_version() const { return boost::archive::BOOST_ARCHIVE_VERSION(); }
    unsigned get_flags() const { return boost_archive_flags; }

  private:
    template <class T>
    void load(T& value);
    template <class T>
    void load(const boost::serialization::nvp<T>& pair) {
        *this >> const_cast<boost::serialization::nvp<T>&>(pair).value();
    }
    template <class T>
    void load(boost::serialization::nvp<T>& pair) {
        *this >> pair.value();
    }
    template <class T>
    void load(boost::serialization::array_wrapper<T>& array) {
        load_elements(array.address(), array.count());
    }
    template <class T>
    void load(const boost::serialization::array_wrapper<T>& array) {
        load_elements(array.address(), array.count());
    }
    void load(const boost::serialization::binary_object& object) { load_binary(const_cast<void*>(object.m_t), object.m_size); }
    template <class T>
    void load_elements(T* elements, std::size_t count) {
        if constexpr (is_bytes<T>)
            in_.read_bytes(elements, count * sizeof(T));
        else
            for (std::size_t i = 0; i < count; ++i) *this >> elements[i];
    }

    Reader& in_;
};

using FlatOutputArchive = FlatOutput<boost::serialization::access>;
using FlatInputArchive = FlatInput<boost::serialization::access>;

// An object that writes nothing takes a byte all the same, so that the lengths of containers can be checked.
template <class T>
void save_object(Buffer& out, const T& from) {
    const std::size_t begin = out.size();
    FlatOutputArchive archive(out);
    boost::serialization::serialize_adl(archive, const_cast<T&>(from), class_version<T>());
    if (out.size() == begin) out.append("", 1);
}
template <class T>
void load_object(Reader& in, T& to) {
    const std::size_t begin = in.offset();
    FlatInputArchive archive(in);
    boost::serialization::serialize_adl(archive, to, class_version<T>());
    if (in.offset() == begin) in.take(1);
}

template <FlatObject T>
struct Codec<T> {
    static void encode(Buffer& out, const T& value) {
        FlatOutputArchive archive(out);
        boost::serialization::save_construct_data_adl(archive, &value, class_version<T>());
        save_object(out, value);
    }

    static T decode(Reader& in) {
        // Boost's interface may construct where the program may not, and knows types without a default constructor.
        alignas(T) std::byte place[sizeof(T)];
        T* value = reinterpret_cast<T*>(place);
        FlatInputArchive archive(in);
        boost::serialization::load_construct_data_adl(archive, value, class_version<T>());
        struct Destroy {
            T* value;
            ~Destroy() { value->~T(); }
        } destroy{value};
        load_object(in, *value);
        return std::move(*value);
    }
};

template <class T>
    requires(TrackedPointer<T> && !std::is_pointer_v<T>)
struct Codec<T> {
    static void encode(Buffer& out, const T& value) {
        out.append("", 1);  // a place among the flat bytes: lengths can be checked
        TrackedOutput::save(value);
    }
    static T decode(Reader& in) {
        in.take(1);
        T value;
        TrackedInput::load(value);
        return value;
    }
};

template <class Boost>
template <class T>
void FlatInput<Boost>::load(T& value) {
    using U = std::remove_cv_t<T>;
    if constexpr (TrackedPointer<U>)
        TrackedInput::load(const_cast<U&>(value));
    else if constexpr (std::is_array_v<U>)
        Codec<U>::decode_into(in_, const_cast<U&>(value));
    else if constexpr (FlatObject<U>)
        load_object(in_, const_cast<U&>(value));  // in place: a base class, or a type that cannot be assigned
    else if constexpr (NamedNumber<U>)
        load_binary(const_cast<U*>(&value), sizeof value);
    else
        const_cast<U&>(value) = get<U>(in_);
}

// ---- whole values ----

template <class T>
void encode(Buffer& out, const T& value) {
    if constexpr (may_track<T>()) {
        TrackedOutput tracked(out);
        put(out, value);
        tracked.finish();
    } else {
        put(out, value);
    }
}

template <class T>
T Reader::read() {
    using Value = std::remove_cv_t<T>;
    if constexpr (may_track<Value>()) {
        TrackedInput tracked(*this);
        Value value = get<Value>(tracked.flat());
        tracked.check_end();
        return value;
    } else {
        return get<Value>(*this);
    }
}

}  // namespace rankpool::wire
