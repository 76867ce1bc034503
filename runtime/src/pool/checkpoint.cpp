#include "pool/checkpoint.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include <rankpool/comm/transport.hpp>
#include <rankpool/error.hpp>
#include "journal/hash.hpp"
#include "os/blocked_signals.hpp"
#include "wire/type_names.hpp"

namespace rankpool::pool {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Results go to the kernel, where they outlive this process, this often; and to the disk, where they outlive the
// machine.
constexpr auto write_every = 20ms;
constexpr auto sync_every = 500ms;

journal::Results results_of(const task::Descriptor& descriptor, const MapOptions& options) {
    return {wire::demangled(descriptor.result_type->name()), descriptor.result_size, options.checkpoint_tag};
}

std::vector<std::byte> mask_of(const task::Descriptor& descriptor) {
    std::vector<std::byte> mask;
    if (descriptor.item_size == 0 || descriptor.value_bytes == nullptr) return mask;
    mask.resize(descriptor.item_size);
    descriptor.value_bytes(mask.data());
    return mask;
}

std::string stretch_in_words(std::uint64_t first, std::uint64_t count) {
    if (count == 1) return "item " + std::to_string(first);
    return "items " + std::to_string(first) + " to " + std::to_string(first + count - 1);
}

}  // namespace

Checkpoint::Checkpoint(const MapOptions& options, const task::Descriptor& descriptor, const Items& items,
                       const std::byte* rows, const Refused* refused)
    : path_(options.checkpoint),
      result_size_(descriptor.result_size),
      items_(items),
      refused_(refused),
      mask_(mask_of(descriptor)),
      journal_(path_, results_of(descriptor, options)),
      there_(0, items.count) {
    const auto bytes = items_.part(0, items_.count);
    if (rows != nullptr && comm::overlap(bytes, {rows, static_cast<std::size_t>(items_.count) * result_size_})) {
        copy_.assign(bytes.begin(), bytes.end());
        items_.bytes = copy_.data();
    }
    for (const journal::Record& record : journal_.records()) check(record);
}

Checkpoint::~Checkpoint() {
    try {
        finish();
    } catch (...) {  // its call was never begun, or has asked already
    }
}

// The journal is somebody else's file: what it says must fit this call before it is used.
void Checkpoint::check(const journal::Record& record) const {
    const auto refuse = [&](const std::string& why) {
        throw CheckpointError("checkpoint " + path_ + ": the journal is one of other items: " + why +
                              "; give another path, or delete it to begin anew");
    };
    if (!there_.inside(record.first, record.count) || record.count == 0)
        refuse("it has " + stretch_in_words(record.first, record.count) + ", this call has " +
               std::to_string(items_.count) + " items");
    const bool fits = result_size_ > 0 ? record.results.size() / result_size_ == record.count &&
                                             record.results.size() % result_size_ == 0
                                       : record.count == 1;
    if (!fits)
        throw CheckpointError("checkpoint " + path_ + ": the journal's results of " +
                              stretch_in_words(record.first, record.count) +
                              " have the wrong size; delete it to begin anew, or give another path");
    if (record.items != hash_of(record.first, record.count))
        refuse(stretch_in_words(record.first, record.count) + (record.count == 1 ? " was" : " were") +
               " different when it was written");
}

std::uint64_t Checkpoint::hash_of(std::uint64_t first, std::uint64_t count) const {
    std::uint64_t all = 0;
    std::vector<std::byte> masked(mask_.size());
    for (std::uint64_t i = first; i < first + count; ++i) {
        auto item = items_.part(i, i + 1);
        if (!mask_.empty()) {
            for (std::size_t byte = 0; byte < mask_.size(); ++byte) masked[byte] = item[byte] & mask_[byte];
            item = masked;
        }
        all = journal::hash(item, all);  // each begins with the one before: lengths count
    }
    return all;
}

void Checkpoint::restore(Sink& sink, std::function<void()> on_failure) {
    for (const journal::Record& record : journal_.records()) {
        const bool all_new = there_.count(record.first, record.count) == 0;
        for (std::uint64_t i = record.first; i < record.first + record.count; i += all_new ? record.count : 1) {
            const std::uint64_t count = all_new ? record.count : 1;
            if (there_.add(i, count) == 0) continue;
            if (result_size_ > 0)
                sink.fixed(i, count, record.results.data() + (i - record.first) * result_size_);
            else
                sink.value(i, record.results);
        }
    }
    restored_ = there_.done();
    if (journal_.found()) {
        std::fprintf(stderr, "rankpool: checkpoint %s: %llu of %llu items were there already\n", path_.c_str(),
                     static_cast<unsigned long long>(restored_), static_cast<unsigned long long>(items_.count));
        std::fflush(stderr);
    }
    journal_.start_writing();
    on_failure_ = std::move(on_failure);
    const os::BlockedSignals blocked;
    writer_ = std::thread([this] { write_all(); });
}

std::vector<Checkpoint::Stretch> Checkpoint::missing() const {
    std::vector<Stretch> stretches;
    for (auto gap = there_.gap(0); gap.begin < gap.end; gap = there_.gap(gap.end))
        stretches.push_back({gap.begin, gap.end});
    return stretches;
}

void Checkpoint::add(std::uint64_t first, std::uint64_t count, std::span<const std::byte> results) {
    std::lock_guard lock(mutex_);
    if (error_) return;
    const bool first_one = noted_.empty();
    noted_.push_back({first, count, results.size()});
    results_.append(results.data(), results.size());
    if (first_one) changed_.notify_all();
}

void Checkpoint::write_all() {
    std::unique_lock lock(mutex_);
    auto synced = Clock::now();
    bool to_sync = false;
    for (;;) {
        const auto something = [this] { return finishing_ || !noted_.empty(); };
        if (to_sync)
            changed_.wait_until(lock, synced + sync_every, something);
        else
            changed_.wait(lock, something);
        const bool last = finishing_;
        std::vector<Noted> noted;
        wire::Buffer results;
        std::swap(noted, noted_);
        std::swap(results, results_);
        lock.unlock();
        try {
            write(noted, results);
            to_sync = to_sync || !noted.empty();
            if (to_sync && (last || Clock::now() - synced >= sync_every)) {
                journal_.sync();
                synced = Clock::now();
                to_sync = false;
            }
        } catch (...) {
            lock.lock();
            error_ = std::current_exception();
            const bool tell = !finishing_;
            lock.unlock();
            if (tell) on_failure_();
            return;
        }
        lock.lock();
        if (last && noted_.empty()) return;
        if (!finishing_) changed_.wait_for(lock, write_every, [this] { return finishing_; });
    }
}

void Checkpoint::write(const std::vector<Noted>& noted, std::span<const std::byte> results) {
    std::vector<journal::Record> records;
    std::size_t at = 0;
    const auto put = [&](std::uint64_t first, std::uint64_t count, std::span<const std::byte> bytes) {
        if (count == 0) return;
        records.push_back({first, count, hash_of(first, count), bytes});
        there_.add(first, count);
    };
    for (const Noted& each : noted) {
        auto bytes = results.subspan(at, each.bytes);
        at += each.bytes;
        std::uint64_t first = each.first;
        const std::uint64_t end = each.first + each.count;
        if (refused_ != nullptr) {  // what a worker made of nothing is no result
            for (auto refused = refused_->lower_bound(static_cast<std::size_t>(first));
                 refused != refused_->end() && refused->first < end; ++refused) {
                const std::size_t before = static_cast<std::size_t>(refused->first - first);
                put(first, before, bytes.first(before * result_size_));
                first = refused->first + 1;
                bytes = bytes.subspan(std::min(bytes.size(), (before + 1) * result_size_));
            }
        }
        put(first, end - first, bytes);
    }
    if (!records.empty()) journal_.append(records);
}

void Checkpoint::finish() {
    if (writer_.joinable()) {
        {
            std::lock_guard lock(mutex_);
            finishing_ = true;
            changed_.notify_all();
        }
        writer_.join();
        journal_.close();
    }
    if (error_) std::rethrow_exception(error_);
}

std::string Checkpoint::in_words() const {
    return path_ + ": " + std::to_string(there_.done()) + " of " + std::to_string(items_.count) + " items are there";
}

}  // namespace rankpool::pool
