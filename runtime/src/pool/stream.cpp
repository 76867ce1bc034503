#include "pool/stream.hpp"

#include <algorithm>

#include "pool/control.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {

// A chunk should keep a worker busy for about this long.
constexpr std::chrono::microseconds chunk_time{200};
constexpr std::uint64_t largest_chunk = 64;

}  // namespace

// A stretch of items in flight. Takes their results for the stream.
class Stream::Chunk final : public Sink {
  public:
    Chunk(Stream& stream, std::uint64_t first) : stream_(stream), first_(first) {}

    void placed(std::uint64_t, std::uint64_t) override {}  // nobody asked for that
    void fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) override {
        for (std::uint64_t i = 0; i < count; ++i) {
            Ready ready;
            ready.bytes.append(results + i * stream_.result_size_, stream_.result_size_);
            deliver(first + i, std::move(ready));
        }
    }
    void value(std::uint64_t index, std::span<const std::byte> bytes) override {
        Ready ready;
        ready.bytes.append(bytes.data(), bytes.size());
        deliver(index, std::move(ready));
    }
    void failed(std::uint64_t index, Failure failure) override {
        Ready ready;
        ready.failure = std::move(failure);
        deliver(index, std::move(ready));
    }
    void rest_failed(Failure failure) override {
        if (const auto why = exception_of(failure, std::nullopt); is_broken_pool(why)) stream_.core_->break_down(why);
        for (std::uint64_t i = 0; i < has_.size(); ++i)
            if (!has_[i]) failed(first_ + i, failure);
    }

    void add_item() {
        if (stream_.item_size_ == 0) ends_.push_back(bytes_.size());
        has_.push_back(false);
    }
    wire::Buffer& bytes() { return bytes_; }
    std::uint64_t first() const { return first_; }
    std::uint64_t count() const { return has_.size(); }
    Items items() const {
        return {first_, count(), bytes_.data(), stream_.item_size_ == 0 ? ends_.data() : nullptr, stream_.item_size_, true};
    }

    std::size_t site = 0;
    std::uint64_t batch = 0;
    Clock::time_point given_at{};

  private:
    void deliver(std::uint64_t index, Ready ready) {
        has_[index - first_] = true;
        stream_.arrived(index, std::move(ready));
    }

    Stream& stream_;
    std::uint64_t first_;
    wire::Buffer bytes_;
    std::vector<std::uint64_t> ends_;
    std::vector<bool> has_;
};

Stream::Stream(std::shared_ptr<Core> core, std::shared_ptr<const KnownFunction> function, const MapOptions& options, bool ordered, Pull pull)
    : core_(std::move(core)),
      ordered_(ordered),
      window_(options.buffersize > 0 ? options.buffersize : std::max<std::uint64_t>(256, 32 * static_cast<std::uint64_t>(core_->size()))),
      chunk_items_(options.chunksize > 0 ? std::min<std::uint64_t>(options.chunksize, max_items) : 1),
      chunk_fixed_(options.chunksize > 0),
      item_size_(function->item_size()),
      result_size_(function->result_size()),
      pull_(std::move(pull)),
      function_(std::move(function)),
      load_(core_->sites().size()) {
    if (options.buffersize == 0 && chunk_fixed_)  // room for every worker to have a chunk and the next one
        window_ = std::max(window_, 2 * chunk_items_ * static_cast<std::uint64_t>(core_->size()));
    core_->add_stream(this);
}

Stream::~Stream() { core_->remove_stream(this); }

void Stream::start() { fill(window_); }

bool Stream::room_locked(std::uint64_t window) const {
    const std::uint64_t ahead = read_ - taken_;
    return !input_ended_ && !ended_ && ahead < window && window - ahead >= std::min(chunk_items_, window);
}

void Stream::fill(std::uint64_t window) {
    const std::lock_guard reading(reading_);
    for (;;) {
        std::uint64_t wanted;
        std::shared_ptr<Chunk> chunk;
        {
            std::lock_guard lock(mutex_);
            if (!room_locked(window)) return;
            wanted = std::min({chunk_items_, window - (read_ - taken_)});
            if (!chunk_fixed_)  // every worker should have something of a small window
                wanted = std::clamp<std::uint64_t>(window / (2 * static_cast<std::uint64_t>(core_->size())), 1, wanted);
            chunk = std::make_shared<Chunk>(*this, read_);
        }
        while (chunk->count() < wanted && read_item(*chunk)) {
        }
        if (chunk->count() > 0) give(std::move(chunk));
    }
}

bool Stream::read_item(Chunk& chunk) {
    const std::size_t before = chunk.bytes().size();
    std::exception_ptr error;
    bool more = false;
    try {
        more = pull_(chunk.bytes());
    } catch (const RefusedItem& refused) {
        chunk.bytes().shrink(before);
        Ready ready;
        ready.error = refused.error;
        std::uint64_t index;
        {
            std::lock_guard lock(mutex_);
            index = read_++;
        }
        arrived(index, std::move(ready));
        return false;  // the chunk ends before it; the next one begins behind it
    } catch (...) {
        error = std::current_exception();
        chunk.bytes().shrink(before);
    }
    if (more) chunk.add_item();
    std::lock_guard lock(mutex_);
    if (more) {
        ++read_;
        return true;
    }
    input_ended_ = true;
    if (error) {  // thrown at its place, which is the end
        const std::uint64_t index = read_++;
        ready_[index].error = error;
        if (!ordered_) order_.push_back(index);
    }
    return false;
}

void Stream::give(std::shared_ptr<Chunk> chunk) {
    const auto visit = Core::Work::visit(core_);  // the sites stay meanwhile
    std::shared_ptr<const KnownFunction> function;
    std::uint64_t chunk_items = 0;
    {
        std::lock_guard lock(mutex_);
        if (visit && !ended_) function = function_;
        chunk_items = chunk_items_;
        if (function) {
            const auto busy = [&](std::size_t site) { return static_cast<double>(load_[site]) / core_->sites()[site]->workers(); };
            for (std::size_t site = 1; site < load_.size(); ++site)
                if (busy(site) < busy(chunk->site)) chunk->site = site;
            load_[chunk->site] += chunk->count();
            chunk->given_at = Clock::now();
            chunks_.emplace(chunk.get(), chunk);
        }
    }
    std::exception_ptr refused;
    if (!function) {
        refused = std::make_exception_ptr(CancelledError("the pool was terminated before this work was done"));
    } else {
        try {
            Site& site = *core_->sites()[chunk->site];
            const auto self = shared_from_this();
            const auto batch = site.give(function->at(chunk->site), result_size_, chunk->items(), {.chunk = chunk_items}, *chunk,
                                         [self, now = chunk.get()] { self->chunk_over(*now); });
            std::lock_guard lock(mutex_);
            chunk->batch = batch;
            return;
        } catch (...) {
            refused = std::current_exception();
            if (is_broken_pool(refused)) core_->break_down(refused);
        }
    }
    for (std::uint64_t i = 0; i < chunk->count(); ++i) {
        Ready ready;
        ready.error = refused;
        arrived(chunk->first() + i, std::move(ready));
    }
    std::lock_guard lock(mutex_);
    chunks_.erase(chunk.get());
}

void Stream::arrived(std::uint64_t index, Ready ready) {
    core_->count_results(1, ready.bytes.size() == 0 && (ready.failure || ready.error) ? 1 : 0);
    std::lock_guard lock(mutex_);
    ready_[index] = std::move(ready);
    if (!ordered_) order_.push_back(index);
    changed_.notify_all();
}

void Stream::chunk_over(Chunk& chunk) {
    std::shared_ptr<Chunk> last;
    std::lock_guard lock(mutex_);
    const auto found = chunks_.find(&chunk);
    if (found == chunks_.end()) return;
    last = std::move(found->second);
    chunks_.erase(found);
    load_[chunk.site] -= chunk.count();
    if (!chunk_fixed_ && Clock::now() - chunk.given_at < chunk_time && chunk_items_ < largest_chunk) chunk_items_ *= 2;
    changed_.notify_all();
}

bool Stream::has_next_locked() const { return ordered_ ? ready_.count(taken_) > 0 : !order_.empty(); }

StreamItem Stream::take_locked() {
    const std::uint64_t index = ordered_ ? taken_ : order_.front();
    if (!ordered_) order_.pop_front();
    Ready ready = std::move(ready_[index]);
    ready_.erase(index);
    ++taken_;
    StreamItem item;
    item.index = static_cast<std::size_t>(index);
    item.kind = StreamItem::result;
    if (ready.failure)
        item.what = exception_of(*ready.failure, item.index);
    else if (ready.error)
        item.what = ready.error;
    else
        item.bytes = std::move(ready.bytes);
    if (item.what) item.kind = StreamItem::error;
    return item;
}

template <class Condition>
bool Stream::wait(std::unique_lock<std::mutex>& lock, Deadline until, Condition&& condition) {
    while (!condition()) {
        if (until && Clock::now() >= *until) return false;
        if (const auto visit = Core::Work::visit(core_); visit && core_->own() != nullptr) {
            lock.unlock();
            core_->own()->drive([&] {
                std::lock_guard guard(mutex_);
                return condition();
            }, until);
            lock.lock();
        } else if (until) {
            changed_.wait_until(lock, *until);
        } else {
            changed_.wait(lock);
        }
    }
    return true;
}

StreamItem Stream::next(Deadline until) {
    core_->check_may_wait("the next item of an imap");
    fill(window_);
    std::unique_lock lock(mutex_);
    const auto ready = [this] { return has_next_locked() || taken_ == read_; };
    if (!wait(lock, until, ready)) return {StreamItem::timeout, 0, {}, {}};
    if (has_next_locked()) {
        StreamItem item = take_locked();
        return item;
    }
    if (input_ended_ || std::exchange(told_ended_, ended_)) return {};
    if (!ended_) return {};
    return {StreamItem::error, static_cast<std::size_t>(read_), {}, std::make_exception_ptr(CancelledError("the pool was terminated before the end of this imap's input"))};
}

void Stream::finish() {
    fill(max_items);
    std::unique_lock lock(mutex_);
    wait(lock, std::nullopt, [this] { return chunks_.empty(); });
}

void Stream::drop() {
    if (!core_->is_here()) return;  // a copy made by the program's own fork
    std::vector<std::pair<std::size_t, std::uint64_t>> given;
    {
        std::lock_guard lock(mutex_);
        ended_ = true;
        for (const auto& [chunk, held] : chunks_)
            if (chunk->batch != 0) given.emplace_back(chunk->site, chunk->batch);
    }
    if (const auto visit = Core::Work::visit(core_)) {
        for (const auto& each : given) {
            if (!core_->sites()[each.first]->cancel(each.second)) continue;
            std::lock_guard lock(mutex_);
            std::erase_if(chunks_, [&](const auto& entry) { return std::pair(entry.first->site, entry.first->batch) == each; });
        }
        pool_ended();
    }
}

void Stream::pool_ended() {
    std::shared_ptr<const KnownFunction> function;  // its end locks the engine, whose lock comes first
    std::lock_guard lock(mutex_);
    ended_ = true;
    function = std::move(function_);
    changed_.notify_all();
}

// ---- the seam ----

std::shared_ptr<Stream> open_stream(const std::shared_ptr<Core>& core, const task::Descriptor& descriptor,
                                    std::span<const std::byte> function, const MapOptions& options, bool ordered, Pull pull) {
    if (!options.checkpoint.empty() || !options.checkpoint_tag.empty() || options.stop_before_end.count() != 0)
        throw std::invalid_argument("Pool: imap has no checkpoint, because its input may have no end; use map, map_into, map_outcomes or map_async");
    const Core::Work work(core);
    auto stream = std::make_shared<Stream>(core, core->know(descriptor, function), options, ordered, std::move(pull));
    stream->start();
    return stream;
}

StreamItem next_of(Stream& stream, Deadline until) { return stream.next(until); }
void drop_stream(Stream& stream) { stream.drop(); }

}  // namespace rankpool::pool
