// What a TaskFunction is made of: the bytes of a function whose type has been forgotten, and a constant that knows it.
//
// The function itself is rebuilt from its bytes when it arrives or is first called, in every copy anew and in every process: so what
// it captured is as it was when the TaskFunction was made, here and elsewhere. The constant travels as its address, as a
// Descriptor does, and is checked as one before anything is called through it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <rankpool/task/callable.hpp>

namespace rankpool::task {

/// How a function of a forgotten type is rebuilt: in read-only data, in front of how it is called.
struct Interface {
    static constexpr std::uint64_t expected_magic = 0x6c6c6163'6b736174;  // "taskcall"

    std::uint64_t magic = expected_magic;
    std::uint32_t size = 0;  // of the whole constant
    const std::type_info* signature = nullptr;
    void* (*open)(std::span<const std::byte> function) = nullptr;
    void (*close)(void* function) noexcept = nullptr;
};

template <class Signature>
struct CallInterface;
template <class R, class... Args>
struct CallInterface<R(Args...)> : Interface {
    R (*call)(void* function, Args&&... arguments) = nullptr;
};

/// The interface of an F that is called as R(Args...).
template <class F, class Signature>
struct Interfaced;
template <class F, class R, class... Args>
struct Interfaced<F, R(Args...)> {
    static void* open(std::span<const std::byte> bytes) {
        wire::Reader in(bytes);
        return new F(Codec<F>::decode(in));
    }
    static void close(void* function) noexcept { delete static_cast<F*>(function); }
    static R call(void* function, Args&&... arguments) {
        if constexpr (std::is_void_v<R>)
            static_cast<void>(std::invoke(*static_cast<F*>(function), std::forward<Args>(arguments)...));
        else
            return static_cast<R>(std::invoke(*static_cast<F*>(function), std::forward<Args>(arguments)...));
    }

    using Constant = CallInterface<R(Args...)>;
    static constexpr Constant constant{{.size = sizeof(Constant), .signature = &typeid(R(Args...)), .open = open, .close = close}, call};
};

/// A function's interface and bytes; and the function, once it was asked for. Copies have a function each.
class AnyFunction {
  public:
    AnyFunction() = default;
    AnyFunction(const Interface& interface, wire::Buffer bytes);
    AnyFunction(const AnyFunction& other) : interface_(other.interface_), owned_(other.owned_), bytes_(other.bytes_) {}
    AnyFunction(AnyFunction&& other) noexcept { swap(other); }
    AnyFunction& operator=(AnyFunction other) noexcept {
        swap(other);
        return *this;
    }
    ~AnyFunction();

    /// Null when it is empty.
    const Interface* interface() const { return interface_; }
    /// The function. Throws std::bad_function_call when there is none, and what rebuilding it throws. From any thread.
    void* function() const {
        void* opened = function_.load(std::memory_order_acquire);  // pairs with the exchange in open()
        return opened != nullptr ? opened : open();
    }

    /// As part of a value, empty ones too: what arrives has a copy of the bytes.
    void encode(wire::Buffer& out) const;
    static AnyFunction decode(wire::Reader& in, std::size_t size, const std::type_info& signature);
    /// As a task function, or a part of one: what arrives refers to the bytes where they lie, so that what the function shares
    /// with its items is not copied. Throws std::invalid_argument when it is empty.
    void encode_in_place(wire::Buffer& out) const;
    static AnyFunction decode_in_place(wire::Reader& in, std::size_t size, const std::type_info& signature);

  private:
    void* open() const;
    void swap(AnyFunction& other) noexcept;

    const Interface* interface_ = nullptr;
    std::shared_ptr<const wire::Buffer> owned_;  // what `bytes_` lie in; null where they are somebody else's
    std::span<const std::byte> bytes_;
    mutable std::atomic<void*> function_{nullptr};
};

}  // namespace rankpool::task
