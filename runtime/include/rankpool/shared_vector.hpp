// A vector in memory that the workers of this process see: as input or output of map and map_into it is not copied.
//
//     auto input = rankpool::share(samples);                        // a copy of any range
//     rankpool::shared_vector<double> output(input.size());
//     pool.map_into(f, input, output);                              // read and written where they lie
//
// Only workers that are child processes of this one see it; for others (the ranks of a job on other machines) it is a
// vector like any other. It may outlive its pools and be used with several of them.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <rankpool/wire/copy.hpp>

namespace rankpool {

namespace pool {

/// A block of at least `bytes` in the memory that this process shares with its workers, aligned to 64 bytes. Throws Error
/// when the machine has no room.
void* allocate_shared(std::size_t bytes);
/// Gives it back, as many bytes as were asked for, in the process that allocated it; in others it does nothing.
void release_shared(void* block, std::size_t bytes, pid_t allocated_by) noexcept;

}  // namespace pool

/// A contiguous container of trivially copyable elements, with std::vector's interface. Making it larger throws Error when
/// the machine has no room for it. Local.
template <class T>
class shared_vector {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_const_v<T> && alignof(T) <= 64,
                  "rankpool: the elements of a shared_vector must be trivially copyable: they lie in memory that several processes see");

  public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using reference = T&;
    using const_reference = const T&;
    using pointer = T*;
    using const_pointer = const T*;
    using iterator = T*;
    using const_iterator = const T*;
    using reverse_iterator = std::reverse_iterator<iterator>;
    using const_reverse_iterator = std::reverse_iterator<const_iterator>;

    shared_vector() = default;
    explicit shared_vector(std::size_t count) { resize(count); }
    shared_vector(std::size_t count, const T& value) { resize(count, value); }
    template <std::input_iterator Iterator>
    shared_vector(Iterator first, Iterator last) {
        append(std::move(first), std::move(last));
    }
    shared_vector(std::initializer_list<T> values) : shared_vector(values.begin(), values.end()) {}
    shared_vector(const shared_vector& other) : shared_vector(other.begin(), other.end()) {}
    shared_vector(shared_vector&& other) noexcept { swap(other); }
    shared_vector& operator=(const shared_vector& other) {
        if (this != &other) assign(other.begin(), other.end());
        return *this;
    }
    shared_vector& operator=(shared_vector&& other) noexcept {
        swap(other);
        return *this;
    }
    shared_vector& operator=(std::initializer_list<T> values) {
        assign(values.begin(), values.end());
        return *this;
    }
    ~shared_vector() { release(); }

    template <std::input_iterator Iterator>
    void assign(Iterator first, Iterator last) {
        clear();
        append(std::move(first), std::move(last));
    }

    T* data() noexcept { return data_; }
    const T* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }
    bool empty() const noexcept { return size_ == 0; }

    T& operator[](std::size_t index) { return data_[index]; }
    const T& operator[](std::size_t index) const { return data_[index]; }
    T& at(std::size_t index) {
        check(index);
        return data_[index];
    }
    const T& at(std::size_t index) const {
        check(index);
        return data_[index];
    }
    T& front() { return data_[0]; }
    const T& front() const { return data_[0]; }
    T& back() { return data_[size_ - 1]; }
    const T& back() const { return data_[size_ - 1]; }

    iterator begin() noexcept { return data_; }
    iterator end() noexcept { return data_ + size_; }
    const_iterator begin() const noexcept { return data_; }
    const_iterator end() const noexcept { return data_ + size_; }
    const_iterator cbegin() const noexcept { return data_; }
    const_iterator cend() const noexcept { return data_ + size_; }
    reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
    reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
    const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
    const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

    void clear() noexcept { size_ = 0; }
    void reserve(std::size_t count) {
        if (count <= capacity_) return;
        if (count > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw std::length_error("shared_vector: " + std::to_string(count) + " elements are more than memory can hold");
        T* const larger = static_cast<T*>(pool::allocate_shared(count * sizeof(T)));
        wire::copy_bytes(larger, data_, size_ * sizeof(T));
        release();
        data_ = larger;
        capacity_ = count;
        owner_ = getpid();
    }
    void resize(std::size_t count) { grow_to(count, [&] { std::uninitialized_value_construct(data_ + size_, data_ + count); }); }
    void resize(std::size_t count, const T& value) { grow_to(count, [&, copy = value] { std::uninitialized_fill(data_ + size_, data_ + count, copy); }); }
    void push_back(const T& value) {
        const T copy = value;  // may be an element of this
        make_room();
        new (data_ + size_++) T(copy);
    }
    template <class... Args>
    T& emplace_back(Args&&... arguments) {
        push_back(T(std::forward<Args>(arguments)...));
        return back();
    }
    void pop_back() { --size_; }
    void swap(shared_vector& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        std::swap(owner_, other.owner_);
    }

    friend bool operator==(const shared_vector& a, const shared_vector& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
    friend auto operator<=>(const shared_vector& a, const shared_vector& b)
        requires std::three_way_comparable<T>
    {
        return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
    }

  private:
    void release() noexcept { pool::release_shared(data_, capacity_ * sizeof(T), owner_); }
    void check(std::size_t index) const {
        if (index >= size_) throw std::out_of_range("shared_vector::at: index " + std::to_string(index) + " of " + std::to_string(size_) + " elements");
    }
    void make_room() {
        if (size_ == capacity_) reserve(std::max<std::size_t>(2 * capacity_, 16));
    }
    template <class Fill>
    void grow_to(std::size_t count, Fill&& fill) {
        if (count > size_) {
            reserve(count);
            fill();
        }
        size_ = count;
    }
    template <class Iterator>
    void append(Iterator first, Iterator last) {
        if constexpr (std::forward_iterator<Iterator>) {
            const auto count = static_cast<std::size_t>(std::distance(first, last));
            reserve(size_ + count);
            std::uninitialized_copy(first, last, data_ + size_);
            size_ += count;
        } else {
            for (; first != last; ++first) push_back(*first);
        }
    }

    T* data_ = nullptr;
    std::size_t size_ = 0, capacity_ = 0;
    pid_t owner_ = 0;
};

template <std::input_iterator Iterator>
shared_vector(Iterator, Iterator) -> shared_vector<std::iter_value_t<Iterator>>;

/// A shared_vector with the elements of a range. Throws Error when the machine has no room. Local.
template <std::ranges::input_range Range>
auto share(Range&& range) {
    shared_vector<std::ranges::range_value_t<Range>> shared;
    if constexpr (std::ranges::sized_range<Range>) shared.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (auto&& element : range) shared.push_back(element);
    return shared;
}
template <class T>
shared_vector<T> share(std::initializer_list<T> values) {
    return shared_vector<T>(values);
}

}  // namespace rankpool
