#include "pool/manager.hpp"

#include <algorithm>
#include <atomic>
#include <optional>

#include "os/host_name.hpp"
#include "pool/drain.hpp"
#include "pool/pace.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
/// Workers that another rank leads, by messages.
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
            if (batches_.empty()) pace_.begin(Pace::Clock::now());
            batches_[batch] = {&sink, std::move(over), Coverage(items.first, items.count), result_size};
        }
        os::ByteWriter out = message(Say::batch, pool_);
        out.put(BatchHead{function, batch, items.first, items.count, items.item_size, result_size, options.chunk, options.largest_chunk,
                          options.single ? 1U : 0U});
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

    std::optional<bool> has_begun(std::uint64_t batch) override { return ask(Say::has_begun, {batch}).front(); }

    std::vector<std::optional<bool>> take_back(const std::vector<std::uint64_t>& batches) override { return ask(Say::take_back, batches); }

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
            case Say::answer: take_answer(in, lock); break;
            case Say::results: take_results(in); break;
            case Say::broken:
                broken_ = wire::decode_exception(in.get_block(), {"", std::nullopt, {0, 0, 0, "", rank_}, ""});
                if (tell_broken_) tell_broken_(broken_);
                break;
            case Say::over: {
                const auto batch = batches_.find(in.get<std::uint64_t>());
                if (batch == batches_.end()) break;
                pace_.over(Pace::Clock::now());
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
    /// How soon the next message should be seen. With the manager locked.
    std::chrono::nanoseconds within(Pace::Clock::time_point now) const {
        const bool waited_for = !opened_ || closing_.load() || told_ < asked_ || !questions_.empty();
        return waited_for ? Pace::shortest : batches_.empty() ? Pace::longest : pace_.look_within(now);
    }

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

    // Waits for the answers, one for each batch; empty ones from a rank that is stopped, or has closed the pool.
    std::vector<std::optional<bool>> ask(Say what, const std::vector<std::uint64_t>& batches) {
        constexpr std::chrono::seconds patience{1};
        std::unique_lock lock(manager_.mutex_);
        const std::uint64_t question = ++next_id_;
        Question& asked = questions_[question];
        asked = {what == Say::take_back, batches, {}, true, false};
        try {
            os::ByteWriter out = message(what, pool_);
            out.put(question);
            for (const std::uint64_t batch : batches) out.put(batch);
            send(out);
        } catch (...) {
            questions_.erase(question);
            throw;
        }
        manager_.changed_.wait_for(lock, patience, [&] { return asked.answered || closed_; });
        asked.waited_for = false;
        std::vector<std::optional<bool>> answers(batches.size());
        for (std::size_t i = 0; i < asked.answers.size(); ++i) answers[i] = asked.answers[i];
        if (asked.answered || closed_) questions_.erase(question);
        return answers;
    }

    void take_answer(os::ByteReader& in, std::unique_lock<std::mutex>& lock) {
        const auto found = questions_.find(in.get<std::uint64_t>());
        if (found == questions_.end()) return;
        Question& question = found->second;
        if (question.answered) throw Error("rank " + std::to_string(rank_) + " answered twice");
        for (std::size_t i = 0; i < question.batches.size(); ++i) question.answers.push_back(in.get<std::uint8_t>() != 0);
        question.answered = true;
        std::vector<Given> gone;
        for (std::size_t i = 0; i < question.batches.size() && question.takes_back; ++i) {
            const auto batch = batches_.find(question.batches[i]);
            if (!question.answers[i] || batch == batches_.end()) continue;
            pace_.over(Pace::Clock::now());
            if (!question.waited_for) gone.push_back(std::move(batch->second));
            batches_.erase(batch);
        }
        if (question.waited_for) return;
        questions_.erase(found);
        lock.unlock();
        for (Given& batch : gone) batch.sink->taken_back();
        lock.lock();
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
    struct Question {
        bool takes_back = false;
        std::vector<std::uint64_t> batches;
        std::vector<bool> answers;
        bool waited_for = true, answered = false;
    };
    std::map<std::uint64_t, Question> questions_;
    Pace pace_;
};

Manager::Manager(comm::Post& post) : post_(post), members_(static_cast<std::size_t>(post.size())), told_(1) {
    members_[0] = Member::here(post.neighbours());
}

std::vector<std::unique_ptr<Site>> Manager::open_sites(int processes, const EngineOptions& options, int& size) {
    std::uint64_t pool;
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return told_ == post_.size(); });
        pool = next_pool_++;
    }
    const int ranks = post_.size();
    const std::vector<int> shares = worker_shares(members_), leader_of = leaders(members_, apart_);
    std::map<int, EngineOptions> by_leader;
    size = 0;
    for (int rank = 0; rank < ranks; ++rank) {
        const auto place = static_cast<std::size_t>(rank);
        const Member& member = members_[place];
        const int workers = processes > 0 ? processes / ranks + (rank < processes % ranks ? 1 : 0) : shares[place];
        if (workers == 0) continue;
        const int leader = leader_of[place];
        EngineOptions& here = by_leader.try_emplace(leader, options).first->second;
        // One that may run where its leader may goes where the pool's creator goes.
        const bool bound = member.affinity != members_[static_cast<std::size_t>(leader)].affinity;
        const Seat seat{member.job_rank, std::max(1, shares[place] / workers), bound ? member.affinity : std::vector<std::uint64_t>()};
        here.seats.insert(here.seats.end(), static_cast<std::size_t>(workers), seat);
        size += workers;
    }

    std::vector<std::unique_ptr<Site>> sites;
    std::vector<RankSite*> remote;
    int first = 0;
    for (auto& [leader, here] : by_leader) {
        here.workers = static_cast<int>(here.seats.size());
        here.first_index = first;
        here.pool_size = size;
        here.cpus = cpus_of(members_, leader_of, leader);
        first += here.workers;
        if (leader == 0) continue;
        auto site = std::make_unique<RankSite>(*this, leader, pool, here);
        remote.push_back(site.get());
        sites.push_back(std::move(site));
    }
    if (const auto own = by_leader.find(0); own != by_leader.end()) {
        auto site = std::make_unique<OwnSite>(std::move(own->second));
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
        Member& member = members_[static_cast<std::size_t>(message.source)];
        if (!member.affinity.empty()) throw Error("rank " + std::to_string(message.source) + " said twice what it brings");
        member = Member::get(in);
        for (int* rank : {&member.machine, &member.leader})
            if (*rank < 0 || *rank >= post_.size()) throw Error("rank " + std::to_string(message.source) + " names rank " + std::to_string(*rank) + ", which does not exist");
        ++told_;
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

std::chrono::nanoseconds Manager::within() {
    const std::lock_guard lock(mutex_);
    if (told_ < post_.size()) return Pace::shortest;
    std::chrono::nanoseconds soonest = Pace::longest;
    const auto now = Pace::Clock::now();
    for (const auto& [where, site] : sites_) soonest = std::min(soonest, site->within(now));
    return soonest;
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
