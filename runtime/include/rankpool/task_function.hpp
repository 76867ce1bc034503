// A task function whose type has been forgotten: for options and members that hold "any task function".
//
//     rankpool::TaskFunction<void()> initializer = [] { load_tables(); };
//     rankpool::PoolOptions options{.processes = 4, .initializer = initializer};
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include <rankpool/task/typed.hpp>

namespace rankpool {

template <class Signature>
class TaskFunction;

/// A function without arguments that can be sent to workers. Copyable; empty by default; made implicitly from any task
/// function. Making one throws std::invalid_argument when the function captured an address of this process. Local.
template <>
class TaskFunction<void()> {
  public:
    TaskFunction() = default;

    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, TaskFunction> && std::is_invocable_r_v<void, std::decay_t<F>&>)
    TaskFunction(F&& function) {  // implicit, as std::function's
        using Stored = task::Nullary<std::decay_t<F>>;
        auto bytes = std::make_shared<wire::Buffer>();
        task::Codec<Stored>::encode(*bytes, Stored{std::forward<F>(function)}, false);
        bytes_ = std::move(bytes);
        descriptor_ = &task::Typed<Stored, char>::descriptor;
    }

    explicit operator bool() const { return descriptor_ != nullptr; }

    /// What travels; for the library's own use.
    const task::Descriptor* descriptor() const { return descriptor_; }
    std::span<const std::byte> bytes() const {
        return bytes_ ? std::span<const std::byte>(*bytes_) : std::span<const std::byte>();
    }

  private:
    const task::Descriptor* descriptor_ = nullptr;
    std::shared_ptr<const wire::Buffer> bytes_;
};

}  // namespace rankpool
