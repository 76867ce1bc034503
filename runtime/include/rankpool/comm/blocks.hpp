// Values and blocks of values between their types and bytes, for Communicator.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/comm/transport.hpp>
#include <rankpool/transferable.hpp>
#include <rankpool/wire/archive.hpp>

namespace rankpool::comm {

template <class T>
inline constexpr bool is_byte_vector = false;
template <class U>
inline constexpr bool is_byte_vector<std::vector<U>> = wire::is_bytes<U> && !std::is_same_v<U, bool> && std::is_default_constructible_v<U>;

template <class T>
using ByteArray = std::array<std::byte, sizeof(T)>;

/// The value that these bytes are: a bool of any byte that is not 0 is true.
template <class T>
T from_bytes(const ByteArray<T>& bytes) {
    if constexpr (std::is_same_v<T, bool>)
        return bytes[0] != std::byte{0};
    else
        return std::bit_cast<T>(bytes);
}

/// A value as a message: its own memory where that is its bytes, else serialized.
template <class T>
class Outgoing {
  public:
    explicit Outgoing(const T& value) {
        wire::require_transferable<T>();
        if constexpr (wire::is_bytes<T>) {
            bytes_ = {reinterpret_cast<const std::byte*>(std::addressof(value)), sizeof(T)};
        } else if constexpr (is_byte_vector<T>) {
            bytes_ = std::as_bytes(std::span(value));
        } else {
            wire::encode(encoded_, value);
            bytes_ = encoded_;
        }
    }
    Outgoing(const Outgoing&) = delete;
    Outgoing& operator=(const Outgoing&) = delete;

    std::span<const std::byte> bytes() const { return bytes_; }
    /// The bytes, to be kept beyond the value.
    wire::Buffer take() {
        if (encoded_.size() == 0) encoded_.append(bytes_.data(), bytes_.size());
        return std::move(encoded_);
    }

  private:
    wire::Buffer encoded_;
    std::span<const std::byte> bytes_;
};

/// The value that an Outgoing<T> of another rank was. Throws SerializationError when the bytes are none of a T.
template <class T>
T value_of(std::span<const std::byte> bytes) {
    if constexpr (wire::is_bytes<T>) {
        ByteArray<T> own;
        if (bytes.size() != own.size())
            throw SerializationError("a value from another rank has " + std::to_string(bytes.size()) + " bytes instead of " + std::to_string(own.size()) +
                                     "; do both sides name the same type?");
        std::memcpy(own.data(), bytes.data(), own.size());
        return from_bytes<T>(own);
    } else if constexpr (is_byte_vector<T>) {
        using U = typename T::value_type;
        if (bytes.size() % sizeof(U) != 0) throw SerializationError("a vector from another rank has an impossible size; do both sides name the same type?");
        T value(bytes.size() / sizeof(U));
        wire::copy_bytes(value.data(), bytes.data(), bytes.size());
        return value;
    } else {
        return wire::decode<T>(bytes);
    }
}

/// Where rows of trivially copyable values arrive: in the vector that they stay in, where that is possible.
template <class T>
class Landing {
    static constexpr bool in_place = std::is_default_constructible_v<T> && !std::is_same_v<T, bool>;

  public:
    std::span<std::byte> make_room(std::size_t count) {
        if constexpr (in_place) {
            values_.resize(count);
            return std::as_writable_bytes(std::span(values_));
        } else {
            bytes_.clear();
            return {bytes_.grow(count * sizeof(T)), count * sizeof(T)};
        }
    }
    std::vector<T> take() {
        if constexpr (!in_place) {
            values_.reserve(bytes_.size() / sizeof(T));
            for (std::size_t at = 0; at < bytes_.size(); at += sizeof(T)) values_.push_back(value_of<T>({bytes_.data() + at, sizeof(T)}));
        }
        return std::move(values_);
    }

  private:
    std::vector<T> values_;
    wire::Buffer bytes_;
};

inline std::size_t total(Sizes sizes) {
    std::size_t sum = 0;
    for (const std::size_t size : sizes) sum += size;
    return sum;
}

/// Of blocks that arrive: how many values of a T they are. Throws SerializationError.
template <class T>
std::size_t count_of(Sizes sizes) {
    for (const std::size_t size : sizes)
        if (size % sizeof(T) != 0) throw SerializationError("a block of items from another rank has an impossible size; do all ranks name the same type?");
    return total(sizes) / sizeof(T);
}

/// A range's elements in one row: the range's own memory where it is contiguous, else a copy.
template <class T>
class Rows {
  public:
    Rows() = default;
    template <class Range>
    explicit Rows(Range&& items) {
        if constexpr (std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range>) {
            data_ = std::ranges::data(items);
            size_ = std::ranges::size(items);
        } else if constexpr (std::is_same_v<T, bool>) {
            for (const bool item : items) copy_.push_back(item);
            data_ = reinterpret_cast<const bool*>(copy_.data());
            size_ = copy_.size();
        } else {
            for (auto&& item : items) copy_.push_back(std::forward<decltype(item)>(item));
            data_ = copy_.data();
            size_ = copy_.size();
        }
    }
    Rows(Rows&&) = default;

    const T* data() const { return data_; }
    std::size_t size() const { return size_; }
    std::span<const std::byte> bytes() const { return {reinterpret_cast<const std::byte*>(data_), size_ * sizeof(T)}; }

  private:
    std::vector<std::conditional_t<std::is_same_v<T, bool>, unsigned char, T>> copy_;
    const T* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Where so many bytes arrive.
inline std::byte* room_for(wire::Buffer& bytes, std::size_t count) {
    bytes.reserve(bytes.size() + count);
    wire::prefer_large_pages(bytes.data(), count);
    return bytes.grow(count);
}

/// Serialized blocks, one behind the other, and how long each is.
struct Blocks {
    wire::Buffer bytes;
    std::vector<std::size_t> sizes;

    /// The next block: `count` items, their number first.
    template <class T>
    void add(const T* items, std::size_t count) {
        const std::size_t before = bytes.size();
        const std::uint64_t length = count;
        bytes.append(&length, sizeof length);
        for (std::size_t i = 0; i < count; ++i) wire::encode(bytes, items[i]);
        sizes.push_back(bytes.size() - before);
    }
    /// … or one value.
    template <class T>
    void add_value(const T& value) {
        const std::size_t before = bytes.size();
        wire::encode(bytes, value);
        sizes.push_back(bytes.size() - before);
    }
    /// Where blocks of such sizes arrive.
    std::byte* make_room(Sizes arriving) {
        sizes.assign(arriving.begin(), arriving.end());
        bytes.clear();
        return room_for(bytes, total(arriving));
    }
    /// Calls `use` with the bytes of each block, in order.
    template <class Use>
    void each(Use&& use) const {
        const std::byte* at = bytes.data();
        for (const std::size_t size : sizes) {
            use(std::span<const std::byte>(at, size));
            at += size;
        }
    }
};

/// Whether a copy is as good as what a block's bytes make of an item: then a rank's own block need not become bytes.
template <class T>
inline constexpr bool may_be_copied = wire::is_plain<T>;

/// How many items a block says that it has, at most one for each of its bytes.
inline std::size_t items_in(std::span<const std::byte> bytes) {
    return bytes.empty() ? 0 : std::min<std::size_t>(wire::Reader(bytes).read<std::uint64_t>(), bytes.size());
}
/// Room for so many items.
template <class T>
void make_room(std::vector<T>& items, std::size_t count) {
    items.reserve(count);
    if constexpr (!std::is_same_v<T, bool>) wire::prefer_large_pages(items.data(), items.capacity() * sizeof(T));
}

/// The items of a block that Blocks::add made, appended.
template <class T>
void append_items(std::span<const std::byte> bytes, std::vector<T>& to) {
    wire::Reader in(bytes);
    for (auto count = in.read<std::uint64_t>(); count > 0; --count) to.push_back(in.read<T>());
    if (in.remaining() != 0) throw SerializationError("a block of items from another rank is longer than its items");
}

/// The items of this rank's own block, appended: moved out of a temporary vector, else copied. `rows` are its items.
template <class Range, class T>
void append_own(Range& block, const Rows<T>& rows, std::vector<T>& to) {
    if constexpr (std::is_same_v<Range, std::vector<T>>)
        to.insert(to.end(), std::make_move_iterator(std::ranges::begin(block)), std::make_move_iterator(std::ranges::end(block)));
    else
        to.insert(to.end(), rows.data(), rows.data() + rows.size());
}

// ---- checks of arguments: std::invalid_argument, before anything is sent ----

[[noreturn]] void refuse_root(int root, int size);
/// Throws std::logic_error: the ranks' conversation is none of a task's business, on whichever thread it runs.
[[noreturn]] void refuse_in_task(const char* what);
/// Set while this thread runs a task of a pool.
extern thread_local constinit bool in_task;
[[noreturn]] void refuse_peer(const char* what, int rank, int size, bool wildcard);
[[noreturn]] void refuse_tag(int tag, bool wildcard);
[[noreturn]] void refuse_count(const char* what, std::size_t given, std::size_t expected, const char* of);

[[noreturn]] void refuse_overlap();
/// Of what is sent and where it is received.
inline void check_apart(std::span<const std::byte> send, std::span<const std::byte> receive) {
    if (overlap(send, receive)) refuse_overlap();
}

inline void check_count(const char* what, std::size_t given, std::size_t expected, const char* of) {
    if (given != expected) refuse_count(what, given, expected, of);
}

}  // namespace rankpool::comm
