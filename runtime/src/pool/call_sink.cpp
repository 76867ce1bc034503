#include "pool/call_sink.hpp"

#include <algorithm>

#include "os/memory.hpp"
#include <rankpool/error.hpp>
#include <rankpool/pool/rows.hpp>
#include <rankpool/remote.hpp>
#include <rankpool/wire/copy.hpp>

namespace rankpool::pool {
namespace {

// Results are stored in blocks, the first of this size, each twice as large as the one before, larger results alone.
constexpr std::size_t first_storage_block = std::size_t{1} << 20, largest_storage_block = std::size_t{64} << 20;

}  // namespace

CallSink::CallSink(CallOutput& output, std::size_t count, std::uint32_t result_size)
    : output_(output), count_(count), result_size_(result_size) {
    if (result_size_ == 0 && output_.take == nullptr) output_.values.resize(count);
    if (output_.keep_errors) has_.resize(count);
}

void CallSink::fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) {
    // Each index comes once, from whoever delivers it: the rows themselves need no lock.
    wire::copy_bytes(output_.rows + first * result_size_, results, static_cast<std::size_t>(count) * result_size_);
    placed(first, count);
}

void CallSink::placed(std::uint64_t first, std::uint64_t count) {
    if (checkpoint != nullptr)
        checkpoint->add(first, count, {output_.rows + first * result_size_, static_cast<std::size_t>(count) * result_size_});
    arrive(first, count);
}

void CallSink::values(std::uint64_t first, std::span<const std::span<const std::byte>> all) {
    for (std::size_t i = 0; checkpoint != nullptr && i < all.size(); ++i) checkpoint->add(first + i, 1, all[i]);
    if (output_.take != nullptr) return take(first, all);
    std::lock_guard lock(mutex);
    for (const auto bytes : all) store(static_cast<std::size_t>(first++), bytes);
}

// Each index comes once: its value needs no lock.
void CallSink::take(std::uint64_t first, std::span<const std::span<const std::byte>> all) {
    std::uint64_t next = first;
    for (const auto bytes : all) {
        try {
            output_.take(output_.results, static_cast<std::size_t>(next), bytes);
        } catch (...) {
            arrive(first, next - first);
            failed(next, failure_of(std::current_exception()));
            first = next + 1;
        }
        ++next;
    }
    arrive(first, next - first);
}

void CallSink::arrive(std::uint64_t first, std::uint64_t count) {
    std::lock_guard lock(mutex);
    arrived_ += static_cast<std::size_t>(count);
    if (!has_.empty()) std::fill_n(has_.begin() + static_cast<std::ptrdiff_t>(first), count, true);
}

void CallSink::store(std::size_t index, std::span<const std::byte> bytes) {
    auto& storage = output_.storage;
    // A block never grows beyond what it reserved: views into it stay valid.
    if (storage.empty() || storage.back().capacity() - storage.back().size() < bytes.size()) {
        const std::size_t block = storage.empty() ? first_storage_block : std::min(2 * storage.back().capacity(), largest_storage_block);
        storage.emplace_back();
        // A call of one item needs no more than that item.
        storage.back().reserve(count_ == 1 ? bytes.size() : std::max(bytes.size(), block));
        wire::prefer_large_pages(storage.back().data(), storage.back().capacity());
    }
    std::byte* place = storage.back().grow(bytes.size());
    wire::copy_bytes(place, bytes.data(), bytes.size());
    output_.values[index] = {place, bytes.size()};
    ++arrived_;
    if (!has_.empty()) has_[index] = true;
}

void CallSink::failed(std::uint64_t index, Failure failure) {
    std::lock_guard lock(mutex);
    ++arrived_;
    if (!has_.empty()) has_[static_cast<std::size_t>(index)] = true;
    const bool first = failures_.empty();
    if (output_.keep_errors) {
        failures_.emplace(index, std::move(failure));
    } else if (first || index < failures_.begin()->first) {
        failures_.clear();
        failures_.emplace(index, std::move(failure));
    }
    if (first && on_failure) on_failure();
}

void CallSink::rest_failed(Failure failure) {
    std::lock_guard lock(mutex);
    rest_ = true;
    rest_failure_ = std::move(failure);
    if (failures_.empty() && on_failure) on_failure();
}

std::exception_ptr CallSink::settle(const std::exception_ptr& refused) {
    for (const auto& [index, failure] : failures_)
        output_.errors.emplace(static_cast<std::size_t>(index), exception_of(failure, static_cast<std::size_t>(index)));
    std::exception_ptr rest = refused;
    if (!rest && rest_) rest = exception_of(rest_failure_, std::nullopt);
    if (rest) output_.error = rest;
    // An item's own error says more than what befell the pool.
    if (!output_.errors.empty()) output_.error = output_.errors.begin()->second;
    if (!output_.keep_errors) return rest;
    // Those that were dropped because another failed never began.
    const auto others = rest ? rest : std::make_exception_ptr(CancelledError("the item was not started: another one had failed, and the call was to fail fast"));
    for (std::size_t i = 0; i < count_; ++i)
        if (!has_[i]) output_.errors.emplace(i, others);
    return rest;
}

}  // namespace rankpool::pool
