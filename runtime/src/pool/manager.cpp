#include "pool/manager.hpp"

#include <algorithm>
#include <atomic>

#include "entry/context.hpp"
#include "os/host_name.hpp"
#include "pool/drain.hpp"
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
int worker_share(int local_ranks) { return std::max(1, process_cpu_count() / std::max(1, local_ranks)); }

/// Another rank's workers, by messages.
class RankSite final : public Site {
  public:
    RankSite(Manager& manager, int rank, std::uint64_t pool, const EngineOptions& options)
        : manager_(manager), rank_(rank), pool_(pool), workers_(options.workers) {
        {
            std::lock_guard lock(manager_.mutex_);
            manager_.sites_[{rank_, pool_}] = this;
        }
        os::ByteWriter out = message(Say::open, pool_);
        put(out, options);
        send(out);
    }

    ~RankSite() override {
        std::unique_lock lock(manager_.mutex_);
        close();
        manager_.changed_.wait(lock, [&] { return closed_; });
        manager_.sites_.erase({rank_, pool_});
    }

    void wait_until_open() {
        std::unique_lock lock(manager_.mutex_);
        manager_.changed_.wait(lock, [&] { return opened_; });
        if (open_error_) std::rethrow_exception(open_error_);
    }

    int workers() const override { return workers_; }

    std::vector<WorkerStats> worker_stats() override {
        std::unique_lock lock(manager_.mutex_);
        const std::uint64_t wanted = ++asked_;
        os::ByteWriter out = message(Say::who, pool_);
        send(out);
        manager_.changed_.wait(lock, [&] { return told_ >= wanted || closed_; });
        return stats_;
    }

    std::uint64_t add_function(const Function& function) override {
        std::lock_guard lock(manager_.mutex_);
        const std::uint64_t id = ++next_id_;
        os::ByteWriter out = message(Say::function, pool_);
        out.put(id);
        out.put(function.item_size);
        out.put(function.result_size);
        out.put_block(function.bytes);
        send(out);
        return id;
    }

    void forget(std::uint64_t function) override {
        os::ByteWriter out = message(Say::forget, pool_);
        out.put(function);
        send(out);
    }

    std::uint64_t give(std::uint64_t function, std::uint32_t result_size, const Items& items, const JobOptions& options,
                       Sink& sink, std::function<void()> over) override {
        std::uint64_t batch;
        {
            std::lock_guard lock(manager_.mutex_);
            batch = ++next_id_;
            batches_[batch] = {&sink, std::move(over), Coverage(items.first, items.count), result_size};
        }
        os::ByteWriter out = message(Say::batch, pool_);
        out.put(BatchHead{function, batch, items.first, items.count, items.item_size, result_size, options.chunk, options.largest_chunk});
        if (items.ends != nullptr) out.put_bytes(std::as_bytes(std::span(items.ends, static_cast<std::size_t>(items.count))));
        out.put_bytes({items.bytes, items.byte_count()});
        send(out);
        return batch;
    }

    bool cancel(std::uint64_t batch) override {
        os::ByteWriter out = message(Say::cancel, pool_);
        out.put(batch);
        send(out);
        return false;
    }

    void drain(std::uint64_t batch) override {
        os::ByteWriter out = message(Say::drain, pool_);
        out.put(batch);
        send(out);
    }

    void when_broken(std::function<void(const std::exception_ptr&)> tell) override {
        std::lock_guard lock(manager_.mutex_);
        tell_broken_ = std::move(tell);
        if (broken_) tell_broken_(broken_);
    }

    void terminate(int signal) override {
        os::ByteWriter out = message(Say::terminate, pool_);
        out.put(signal);
        send(out);
    }

    // On the post's thread, with the manager locked.
    void handle(Say what, os::ByteReader& in, std::unique_lock<std::mutex>& lock) {
        switch (what) {
            case Say::opened: {
                const auto error = in.get_block();
                if (!error.empty()) open_error_ = wire::decode_exception(error, {"", std::nullopt, {0, 0, 0, "", rank_}, ""});
                opened_ = true;
                break;
            }
            case Say::workers:
                take_stats(in);
                ++told_;
                break;
            case Say::results: take_results(in); break;
            case Say::broken:
                broken_ = wire::decode_exception(in.get_block(), {"", std::nullopt, {0, 0, 0, "", rank_}, ""});
                if (tell_broken_) tell_broken_(broken_);
                break;
            case Say::over: {
                const auto batch = batches_.find(in.get<std::uint64_t>());
                if (batch == batches_.end()) break;
                const auto over = std::move(batch->second.over);
                batches_.erase(batch);
                lock.unlock();  // the call may give the next batch, which locks
                over();
                lock.lock();
                break;
            }
            case Say::close:
                take_stats(in);
                closed_ = true;
                break;
            default: throw Error("rank " + std::to_string(rank_) + " sent something unknown");
        }
    }

    /// Has the rank end its part of the pool. With the manager locked.
    void close() {
        if (closing_.load()) return;
        os::ByteWriter out = message(Say::close, pool_);
        send(out);
        closing_.store(true);
    }
    bool closed() const { return closed_; }

  private:
    struct Given {
        Sink* sink = nullptr;
        std::function<void()> over;
        Coverage coverage{0, 0};
        std::uint32_t result_size = 0;
    };

    // Once the pool is to be closed there, nobody would understand anything more about it.
    void send(os::ByteWriter& out) {
        if (!closing_.load()) manager_.post_.send(rank_, sealed(out));
    }

    void take_stats(os::ByteReader& in) {
        stats_.clear();
        for (auto count = in.get<std::uint32_t>(); count > 0; --count) stats_.push_back(get_worker_stats(in));
    }

    void take_results(os::ByteReader& in) {
        const auto found = batches_.find(in.get<std::uint64_t>());
        if (found == batches_.end()) return;
        Given& batch = found->second;
        while (!in.empty()) {
            const auto head = in.get<ResultHead>();
            const auto bytes = in.take(head.bytes);
            WorkerInfo worker;
            std::vector<std::byte> error;
            if (head.kind == ResultKind::failure || head.kind == ResultKind::rest) {
                os::ByteReader inside(bytes);
                worker = get_worker_info(inside);
                const auto rest = inside.rest();
                error.assign(rest.begin(), rest.end());
            }
            if (head.kind == ResultKind::rest) {
                batch.sink->rest_failed({std::move(error), worker});
                continue;
            }
            const bool sound = batch.coverage.inside(head.first, head.count) &&
                               (head.kind == ResultKind::fixed ? head.bytes == head.count * batch.result_size : head.count == 1);
            if (!sound) throw Error("rank " + std::to_string(rank_) + " sent results for items that it was not given");
            if (batch.coverage.add(head.first, head.count) != head.count) continue;
            switch (head.kind) {
                case ResultKind::fixed: batch.sink->fixed(head.first, head.count, bytes.data()); break;
                case ResultKind::value: batch.sink->value(head.first, bytes); break;
                default: batch.sink->failed(head.first, {std::move(error), worker}); break;
            }
        }
    }

    Manager& manager_;
    int rank_;
    std::uint64_t pool_;
    int workers_;
    // Everything below is guarded by the manager's mutex.
    bool opened_ = false, closed_ = false;
    std::atomic<bool> closing_{false};
    std::exception_ptr open_error_, broken_;
    std::function<void(const std::exception_ptr&)> tell_broken_;
    std::uint64_t asked_ = 0, told_ = 0;
    std::vector<WorkerStats> stats_;
    std::uint64_t next_id_ = 0;
    std::map<std::uint64_t, Given> batches_;
};

Manager::Manager(comm::Post& post) : post_(post), shares_(static_cast<std::size_t>(post.size())) {
    shares_[0] = worker_share(post.local_size());
}

std::vector<std::unique_ptr<Site>> Manager::open_sites(int processes, const EngineOptions& options, int& size) {
    std::vector<int> counts;
    std::uint64_t pool;
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return std::all_of(shares_.begin(), shares_.end(), [](int share) { return share > 0; }); });
        counts = shares_;
        pool = next_pool_++;
    }
    const int ranks = static_cast<int>(counts.size());
    if (processes > 0)
        for (int rank = 0; rank < ranks; ++rank)
            counts[static_cast<std::size_t>(rank)] = processes / ranks + (rank < processes % ranks ? 1 : 0);
    size = 0;
    for (const int count : counts) size += count;

    std::vector<std::unique_ptr<Site>> sites;
    std::vector<RankSite*> remote;
    EngineOptions own = options;
    int first = 0;
    for (int rank = 0; rank < ranks; ++rank) {
        EngineOptions here = options;
        here.workers = counts[static_cast<std::size_t>(rank)];
        here.first_index = first;
        here.pool_size = size;
        here.rank = entry::own_rank();  // of rank 0; others put in their own
        first += here.workers;
        if (rank == 0) own = here;
        if (rank == 0 || here.workers == 0) continue;
        auto site = std::make_unique<RankSite>(*this, rank, pool, here);
        remote.push_back(site.get());
        sites.push_back(std::move(site));
    }
    if (own.workers > 0) {
        auto site = std::make_unique<OwnSite>(std::move(own));
        if (!sites.empty()) site->engine()->start_service();  // nobody drives one site of several
        sites.insert(sites.begin(), std::move(site));
    }
    for (RankSite* site : remote) site->wait_until_open();
    return sites;
}

void Manager::handle(comm::Message&& message) {
    os::ByteReader in(message.bytes);
    const auto what = in.get<Say>();
    const auto pool = in.get<std::uint64_t>();
    std::unique_lock lock(mutex_);
    if (what == Say::hello) {
        shares_[static_cast<std::size_t>(message.source)] = std::max(1, in.get<int>());
    } else if (what == Say::watching) {
        ++watching_;
    } else if (what == Say::signalled) {
        note_signal(in.get<int>());
    } else if (const auto site = sites_.find({message.source, pool}); site != sites_.end()) {
        site->second->handle(what, in, lock);
    }
    leave_if_closed();
    changed_.notify_all();
}

void Manager::end_ranks(int exit_code) {
    os::ByteWriter out = message(Say::end, 0);
    out.put(exit_code);
    for (int rank = 1; rank < post_.size(); ++rank) post_.send(rank, sealed(out));
}

void Manager::watch_signals(bool watched) {
    std::unique_lock lock(mutex_);
    watching_ = 0;
    os::ByteWriter out = message(Say::watch, 0);
    out.put(watched);
    for (int rank = 1; rank < post_.size(); ++rank) post_.send(rank, sealed(out));
    if (watched) changed_.wait(lock, [&] { return watching_ == post_.size() - 1; });
}

void Manager::leave() {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
    for (const auto& [where, site] : sites_) site->close();
    leave_if_closed();
}

void Manager::leave_if_closed() {
    const bool all_closed = std::all_of(sites_.begin(), sites_.end(), [](const auto& entry) { return entry.second->closed(); });
    if (!leaving_ || !all_closed || std::exchange(left_, true)) return;
    end_ranks(0);
    post_.stop();
}

}  // namespace rankpool::pool
