// Functions of forgotten types as bytes (rankpool/task/any_function.hpp).
#include <rankpool/task/any_function.hpp>

#include <functional>
#include <stdexcept>

#include <rankpool/error.hpp>

namespace rankpool::task {
namespace {

// Of a function's bytes inside of another's, which begin at such an address.
constexpr std::size_t alignment = 64;

class EmptyFunctionCalled final : public std::bad_function_call {
  public:
    const char* what() const noexcept override { return "rankpool: an empty TaskFunction was called; give it a function first"; }
};

const Interface* decode_interface(wire::Reader& in, std::size_t size, const std::type_info& signature) {
    const void* address = decode_code_address(in, size);
    const auto* found = static_cast<const Interface*>(address);
    if (reinterpret_cast<std::uintptr_t>(address) % alignof(Interface) != 0 || found->magic != Interface::expected_magic || found->size != size ||
        *found->signature != signature)
        throw Error("the reference of a TaskFunction leads to something else; were the sender and this process built from the same sources?");
    return found;
}

}  // namespace

AnyFunction::AnyFunction(const Interface& interface, wire::Buffer bytes)
    : interface_(&interface), owned_(std::make_shared<const wire::Buffer>(std::move(bytes))), bytes_(*owned_) {}

AnyFunction::~AnyFunction() {
    if (void* opened = function_.load(std::memory_order_relaxed); opened != nullptr) interface_->close(opened);
}

void AnyFunction::swap(AnyFunction& other) noexcept {
    std::swap(interface_, other.interface_);
    std::swap(owned_, other.owned_);
    std::swap(bytes_, other.bytes_);
    function_.store(other.function_.exchange(function_.load(std::memory_order_relaxed), std::memory_order_relaxed), std::memory_order_relaxed);
}

void* AnyFunction::open() const {
    if (interface_ == nullptr) throw EmptyFunctionCalled();
    void* opened = interface_->open(bytes_);
    void* others = nullptr;
    // Of several threads that call it for the first time, one is first. Pairs with the load in function().
    if (function_.compare_exchange_strong(others, opened, std::memory_order_acq_rel, std::memory_order_acquire)) return opened;
    interface_->close(opened);
    return others;
}

void AnyFunction::encode(wire::Buffer& out) const {
    wire::encode(out, interface_ != nullptr);
    if (interface_ == nullptr) return;
    encode_code_address(out, interface_);
    const std::uint64_t length = bytes_.size();
    out.append(&length, sizeof length);
    out.append(bytes_.data(), bytes_.size());
}

AnyFunction AnyFunction::decode(wire::Reader& in, std::size_t size, const std::type_info& signature) {
    AnyFunction arrived;
    if (!in.read<bool>()) return arrived;
    const Interface* interface = decode_interface(in, size, signature);
    const auto bytes = in.take(in.read_length());
    wire::Buffer copy;
    copy.append(bytes.data(), bytes.size());
    arrived = AnyFunction(*interface, std::move(copy));
    (void)arrived.function();
    return arrived;
}

void AnyFunction::encode_in_place(wire::Buffer& out) const {
    if (interface_ == nullptr) throw std::invalid_argument("rankpool: an empty TaskFunction was given as task function");
    encode_code_address(out, interface_);
    const std::uint64_t length = bytes_.size();
    out.append(&length, sizeof length);
    while (out.size() % alignment != 0) *out.grow(1) = std::byte{0};
    out.append(bytes_.data(), bytes_.size());
}

AnyFunction AnyFunction::decode_in_place(wire::Reader& in, std::size_t size, const std::type_info& signature) {
    AnyFunction arrived;
    const Interface* interface = decode_interface(in, size, signature);
    const std::size_t length = in.read_length();
    (void)in.take((alignment - in.offset() % alignment) % alignment);
    arrived.bytes_ = in.take(length);
    arrived.interface_ = interface;
    (void)arrived.function();
    return arrived;
}

}  // namespace rankpool::task
