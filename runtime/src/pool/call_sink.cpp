#include "pool/call_sink.hpp"

#include <algorithm>
#include <cstring>

#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {
// Results are stored in blocks of this size, larger ones alone.
constexpr std::size_t storage_block = std::size_t{1} << 20;
}  // namespace

CallSink::CallSink(CallOutput& output, std::size_t count, std::uint32_t result_size, bool shared)
    : output_(output), shared_(shared), result_size_(result_size) {
    if (result_size_ == 0) output_.values.resize(count);
}

std::unique_lock<std::mutex> CallSink::turn() {
    return shared_ ? std::unique_lock(mutex) : std::unique_lock<std::mutex>();
}

void CallSink::fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) {
    std::memcpy(output_.rows + first * result_size_, results, static_cast<std::size_t>(count) * result_size_);
}

void CallSink::value(std::uint64_t index, std::span<const std::byte> bytes) {
    const auto lock = turn();
    auto& storage = output_.storage;
    // A block never grows beyond what it reserved: views into it stay valid.
    if (storage.empty() || storage.back().capacity() - storage.back().size() < bytes.size()) {
        storage.emplace_back();
        storage.back().reserve(std::max(bytes.size(), storage_block));
    }
    std::byte* place = storage.back().grow(bytes.size());
    if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
    output_.values[static_cast<std::size_t>(index)] = {place, bytes.size()};
}

void CallSink::failed(std::uint64_t index, Failure failure) {
    const auto lock = turn();
    if (failed_ && failed_index_ <= index) return;
    failed_ = true;
    failed_index_ = index;
    failure_ = std::move(failure);
    if (shared_) changed.notify_all();
}

void CallSink::rest_failed(Failure failure) {
    const auto lock = turn();
    rest_ = true;
    rest_failure_ = std::move(failure);
}

void CallSink::settle() {
    if (!failed_ && !rest_) return;
    // What failed as a whole concerns the pool; an item's own error says more.
    Failure& failure = failed_ ? failure_ : rest_failure_;
    RemoteInfo origin{"", std::nullopt, failure.worker, ""};
    if (failed_) origin.item = static_cast<std::size_t>(failed_index_);
    output_.error_index = failed_ ? static_cast<std::size_t>(failed_index_) : 0;
    output_.error = wire::decode_exception(failure.error, std::move(origin));
}

}  // namespace rankpool::pool
