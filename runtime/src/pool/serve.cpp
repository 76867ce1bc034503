// The serving side of manager.hpp.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>

#include "pool/drain.hpp"
#include "pool/manager.hpp"
#include "pool/members.hpp"
#include "pool/pace.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {

// Results go out when this much has gathered, when no more are at hand, or when their batch is over.
constexpr std::size_t send_bytes = std::size_t{256} << 10;

// A batch's results on their way to the manager.
class ReturningSink final : public Sink {
  public:
    ReturningSink(comm::Post& post, std::uint64_t pool, std::uint64_t batch, const BatchHead& head)
        : post_(post), pool_(pool), batch_(batch), result_size_(head.result_size) {}

    void placed(std::uint64_t, std::uint64_t) override {}  // nobody asked for that
    void fixed(std::uint64_t first, std::uint64_t count, const std::byte* results) override {
        add({ResultKind::fixed, 0, first, count, count * result_size_}, {}, {results, static_cast<std::size_t>(count) * result_size_});
    }
    void value(std::uint64_t index, std::span<const std::byte> bytes) override {
        add({ResultKind::value, 0, index, 1, bytes.size()}, {}, bytes);
    }
    void failed(std::uint64_t index, Failure failure) override { add_failure(ResultKind::failure, index, failure); }
    void rest_failed(Failure failure) override { add_failure(ResultKind::rest, 0, failure); }

    void pause() override { flush(); }

    void over() {
        flush();
        os::ByteWriter out = message(Say::over, pool_);
        out.put(batch_);
        post_.send(0, sealed(out));
    }

  private:
    void add_failure(ResultKind kind, std::uint64_t index, const Failure& failure) {
        os::ByteWriter worker;
        put(worker, failure.worker);
        add({kind, 0, index, 1, worker.bytes().size() + failure.error.size()}, worker.bytes(), failure.error);
    }

    void add(const ResultHead& head, std::span<const std::byte> before, std::span<const std::byte> bytes) {
        if (gathered_.size() == 0) {
            const Say what = Say::results;
            gathered_.append(&what, sizeof what);
            gathered_.append(&pool_, sizeof pool_);
            gathered_.append(&batch_, sizeof batch_);
        }
        gathered_.append(&head, sizeof head);
        gathered_.append(before.data(), before.size());
        gathered_.append(bytes.data(), bytes.size());
        if (gathered_.size() >= send_bytes) flush();
    }

    void flush() {
        if (gathered_.size() == 0) return;
        post_.send(0, std::move(gathered_));
        gathered_ = wire::Buffer();
    }

    comm::Post& post_;
    std::uint64_t pool_, batch_;
    std::uint32_t result_size_;
    wire::Buffer gathered_;
};

struct ServedBatch {
    std::unique_ptr<ReturningSink> sink;
    Engine::JobId job = 0;
    wire::Buffer message;  // holds the items
    std::atomic<bool> over = false;  // set on the engine's thread
};

// Of a pool's batches; they end on the engine's thread.
struct ServedPace {
    std::mutex mutex;
    Pace of_batches;
    Pace::Clock::time_point ended = Pace::Clock::now();  // the last of them, or none yet since the pool was opened
};

struct ServedPool {
    std::shared_ptr<ServedPace> pace = std::make_shared<ServedPace>();
    std::unique_ptr<Engine> engine;
    std::map<std::uint64_t, Engine::FunctionId> functions;
    std::map<std::uint64_t, std::unique_ptr<ServedBatch>> batches;
};

class Server {
  public:
    Server(comm::Post::Of of, std::shared_ptr<comm::Transport> transport)
        : post_(of, std::move(transport), [this](comm::Message&& message) { handle(std::move(message)); }, [this] { return within(); }) {
        os::ByteWriter out = message(Say::hello, 0);
        Member::here(post_.neighbours()).put(out);
        post_.send(0, sealed(out));
    }

    ~Server() { ignore_signals_of_server(); }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    int serve() {
        post_.serve();
        return exit_code_;
    }

  private:
    // Workers that have nothing to do wait for the next message, for a while; others have what was sent ahead.
    std::chrono::nanoseconds within() {
        const auto now = Pace::Clock::now();
        std::chrono::nanoseconds soonest = Pace::longest;
        for (const auto& [id, pool] : pools_) {
            if (!pool.engine) continue;
            const bool idle = std::all_of(pool.batches.begin(), pool.batches.end(), [](const auto& batch) { return batch.second->over.load(); });
            std::lock_guard lock(pool.pace->mutex);
            const bool lately = now - pool.pace->ended < std::chrono::seconds(1);
            if (!idle || lately) soonest = std::min(soonest, idle ? Pace::shortest : pool.pace->of_batches.look_within(now));
        }
        return soonest;
    }

    void handle(comm::Message&& received) {
        os::ByteReader in(received.bytes);
        const auto what = in.get<Say>();
        const auto pool = in.get<std::uint64_t>();
        if (what == Say::end) {
            exit_code_ = in.get<int>();
            pools_.clear();
            return post_.stop();
        }
        if (what == Say::open) return open(pool, in);
        if (what == Say::watch) return watch(in.get<bool>());
        const auto found = pools_.find(pool);
        if (found == pools_.end()) throw Error("a message about a pool that does not exist");
        ServedPool& served = found->second;
        switch (what) {
            case Say::function: {
                const auto id = in.get<std::uint64_t>();
                Function function;
                function.item_size = in.get<std::uint32_t>();
                function.result_size = in.get<std::uint32_t>();
                const auto bytes = in.get_block();
                function.bytes.assign(bytes.begin(), bytes.end());
                if (served.engine) served.functions[id] = served.engine->add_function(function);
                break;
            }
            case Say::forget:
                if (const auto function = served.functions.find(in.get<std::uint64_t>()); function != served.functions.end()) {
                    served.engine->forget(function->second);
                    served.functions.erase(function);
                }
                break;
            case Say::batch: run_batch(pool, served, in, received); break;
            case Say::cancel:
                if (const auto batch = served.batches.find(in.get<std::uint64_t>()); batch != served.batches.end()) {
                    served.engine->cancel(batch->second->job, false);
                    served.engine->wake();
                }
                break;
            case Say::drain:
                if (const auto batch = served.batches.find(in.get<std::uint64_t>()); batch != served.batches.end()) {
                    served.engine->drain_job(batch->second->job);
                    served.engine->wake();
                }
                break;
            case Say::has_begun:
            case Say::take_back: {
                os::ByteWriter out = message(Say::answer, pool);
                out.put(in.get<std::uint64_t>());
                while (!in.empty()) {
                    const auto batch = served.batches.find(in.get<std::uint64_t>());
                    const bool known = batch != served.batches.end() && !batch->second->over;
                    if (what == Say::has_begun) {
                        out.put<std::uint8_t>(!known || served.engine->has_begun(batch->second->job) ? 1 : 0);
                    } else {
                        const bool back = known && served.engine->take_back(batch->second->job);
                        if (back) served.batches.erase(batch);
                        out.put<std::uint8_t>(back ? 1 : 0);
                    }
                }
                post_.send(0, sealed(out));
                break;
            }
            case Say::who: {
                os::ByteWriter out = message(Say::workers, pool);
                put_stats(out, served);
                post_.send(0, sealed(out));
                break;
            }
            case Say::terminate:
                if (served.engine)
                    served.engine->terminate(std::make_exception_ptr(CancelledError("the pool was terminated before this work was done")), in.get<int>());
                break;
            case Say::close: {
                os::ByteWriter out = message(Say::close, pool);
                put_stats(out, served);
                pools_.erase(found);
                post_.send(0, sealed(out));
                break;
            }
            default: throw Error("the manager sent something unknown");
        }
    }

    // rank 0 decides what a signal means that every rank may get.
    void watch(bool watched) {
        if (!watched) return release_signals_of_server();
        watch_signals_of_server([this](int signal) {
            os::ByteWriter out = message(Say::signalled, 0);
            out.put(signal);
            post_.send(0, sealed(out));
        });
        os::ByteWriter out = message(Say::watching, 0);
        post_.send(0, sealed(out));
    }

    static void put_stats(os::ByteWriter& out, ServedPool& served) {
        const auto stats = served.engine ? served.engine->stats() : std::vector<WorkerStats>();
        out.put(static_cast<std::uint32_t>(stats.size()));
        for (const WorkerStats& worker : stats) put(out, worker);
    }

    void open(std::uint64_t pool, os::ByteReader& in) {
        ServedPool& served = pools_[pool];
        os::ByteWriter out = message(Say::opened, pool);
        wire::Buffer error;
        try {
            served.engine = std::make_unique<Engine>(get_engine_options(in));
            served.engine->when_broken([this, pool](const std::exception_ptr& why) {
                os::ByteWriter broken = message(Say::broken, pool);
                broken.put_block(failure_of(why).error);
                post_.send(0, sealed(broken));
            });
            served.engine->start_service();
        } catch (...) {
            wire::encode_exception(error, std::current_exception());
        }
        out.put_block(error);
        post_.send(0, sealed(out));
    }

    void run_batch(std::uint64_t pool, ServedPool& served, os::ByteReader& in, comm::Message& received) {
        const auto head = in.get<BatchHead>();
        std::erase_if(served.batches, [](const auto& entry) { return entry.second->over.load(); });
        if (served.batches.empty()) {
            std::lock_guard lock(served.pace->mutex);
            served.pace->of_batches.begin(Pace::Clock::now());
        }
        auto& batch = served.batches[head.batch];
        batch = std::make_unique<ServedBatch>();
        batch->sink = std::make_unique<ReturningSink>(post_, pool, head.batch, head);
        Items items{head.first, head.count, nullptr, nullptr, head.item_size, true};
        if (head.item_size == 0) {
            const auto ends = in.take(head.count * 8);
            ends_.resize(head.count);
            std::memcpy(ends_.data(), ends.data(), ends.size());
            items.ends = ends_.data();
            items.stays = false;
        }
        const auto bytes = in.rest();
        items.bytes = bytes.data();
        if (items.byte_count() != bytes.size()) throw Error("a batch's items are damaged");
        ServedBatch* now = batch.get();
        batch->message = std::move(received.bytes);  // moving keeps its bytes where they are
        try {
            const auto function = served.functions.find(head.function);
            if (function == served.functions.end()) throw Error("a batch of an unknown function");
            const JobOptions options{.chunk = head.chunk, .largest_chunk = head.largest_chunk, .single = head.single != 0};
            batch->job = served.engine->add_job(function->second, head.result_size, items, options, *batch->sink, [now, pace = served.pace] {
                                                    now->sink->over();
                                                    now->over = true;
                                                    std::lock_guard lock(pace->mutex);
                                                    pace->ended = Pace::Clock::now();
                                                    pace->of_batches.over(pace->ended);
                                                });
            served.engine->wake();
        } catch (...) {  // the pool is broken: the whole batch fails with the reason
            batch->sink->rest_failed(failure_of(std::current_exception()));
            batch->sink->over();
            batch->over = true;
        }
    }

    std::map<std::uint64_t, ServedPool> pools_;
    std::vector<std::uint64_t> ends_;
    int exit_code_ = 0;
    comm::Post post_;
};

}  // namespace

int serve_pools(comm::Post::Of of, std::shared_ptr<comm::Transport> transport) { return Server(of, std::move(transport)).serve(); }

}  // namespace rankpool::pool
