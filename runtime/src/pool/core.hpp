// A pool without its types: where its workers are, and what is going on in it.
//
// A site is a place with workers: this process's own engine, that of another rank, or threads. A pool with one site gives
// it every call whole. With several, a call is handed out in batches that shrink towards its end (call_state.hpp).
//
// Threads. Whoever waits for a result makes it come about (it drives the engine, or hands out the next batch). What
// nobody waits for is the business of the pool's service thread, which is started by the first call that needs it: it
// also runs callbacks. Order of locks: engine, then a call's sink, then Core::mutex_.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "pool/engine.hpp"
#include "pool/lead.hpp"
#include "pool/site.hpp"
#include <rankpool/pool/call.hpp>
#include <rankpool/stats.hpp>

namespace rankpool {
struct PoolOptions;
}

namespace rankpool::pool {

/// A function that all sites of a pool know, until the last call of it is over.
class KnownFunction {
  public:
    KnownFunction(std::vector<std::unique_ptr<Site>>& sites, const Function& function);
    ~KnownFunction();
    KnownFunction(const KnownFunction&) = delete;
    KnownFunction& operator=(const KnownFunction&) = delete;

    std::uint64_t at(std::size_t site) const { return known_[site].second; }
    std::uint32_t item_size() const { return item_size_; }
    std::uint32_t result_size() const { return result_size_; }

  private:
    std::uint32_t item_size_, result_size_;
    std::vector<std::pair<Site*, std::uint64_t>> known_;
};

/// Somebody whom a pool's service thread looks after.
class Attended {
  public:
    virtual ~Attended() = default;
    /// The service thread's look: does what there is to do.
    virtual void attend() = 0;
};

class Core : public std::enable_shared_from_this<Core> {
  public:
    Core(int processes, Backend backend, EngineOptions options, const char* who);
    /// Over the ranks of a communicator, whose rank 0 this is; they serve until the pool is closed and its work is done.
    Core(int processes, EngineOptions options, std::shared_ptr<comm::Transport> transport);
    /// A pool that takes no work: what other ranks have after they served.
    Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    // ---- what Pool offers ----
    int size() const { return size_; }
    std::vector<WorkerInfo> workers();
    PoolStats stats();
    void close();
    void terminate();
    /// terminate() by a signal of choice. Workers that may outlive it are given some seconds when the pool ends.
    void end_workers(int signal);
    void join();
    /// The pool's end: terminate(), then nothing of it runs any more. Result handles may live on.
    void shut_down();

    // ---- for calls and streams ----
    /// A call or stream that has begun: join() waits for it. Throws PoolClosed.
    class Work {
      public:
        explicit Work(std::shared_ptr<Core> core);
        /// Of somebody who looks after work that has begun: refused, as null, only once the pool is no more.
        static std::unique_ptr<Work> visit(const std::shared_ptr<Core>& core);
        ~Work();
        Work(const Work&) = delete;
        Work& operator=(const Work&) = delete;

      private:
        struct Counted {};
        Work(std::shared_ptr<Core> core, Counted) : core_(std::move(core)) {}
        std::shared_ptr<Core> core_;
    };
    std::shared_ptr<const KnownFunction> know(const task::Descriptor& descriptor, std::span<const std::byte> function);
    std::vector<std::unique_ptr<Site>>& sites() { return sites_; }
    /// Where all workers are this process's own. To be used by who holds a Work.
    Engine* own() const { return own_; }
    void check_open() const;
    /// A site can do nothing more: the pool takes no new work, and says why.
    void break_down(const std::exception_ptr& why);
    /// Why it takes none; null where it does.
    std::exception_ptr broken();
    /// Of a call that gives the sites nothing, and would not hear it from them. Throws why the pool takes no new work. To be
    /// used by who holds a Work.
    void check_unbroken();
    /// False in a process that the program forked: workers, threads and locks belong to the original.
    bool is_here() const;
    /// Throws std::logic_error there.
    void check_is_here() const;
    /// The same; and throws std::logic_error in a callback of this pool: what it waits for may need the service thread, which runs callbacks.
    void check_may_wait(const char* what) const;
    /// Whether this thread is running a callback of this pool, its service thread or another.
    bool in_callback() const;
    bool on_service_thread() const;
    /// By which callbacks know the pool whose they are, also when it is no more.
    std::uint64_t number() const { return number_; }
    /// The service thread exists from now on.
    void need_service();
    /// Has the service thread look after somebody. With any lock held.
    void attend(std::shared_ptr<Attended> who);
    /// Runs a callback on the service thread.
    void call_back(std::function<void()> callback);
    void count_results(std::uint64_t items, std::uint64_t errors, std::uint64_t reused = 0);
    void add_stream(Stream* stream);
    void remove_stream(Stream* stream);

  private:
    static std::uint64_t next_number();
    void serve();
    std::vector<std::shared_ptr<Stream>> living_streams();
    bool service_has_work();
    void end_work();
    void listen_to_sites();
    void open_sites(Manager& manager, int processes, const EngineOptions& options);
    void leave_ranks();

    const std::uint64_t number_ = next_number();
    enum class Phase { open, closed, terminated };
    std::atomic<Phase> phase_{Phase::open};
    int size_ = 0;
    pid_t owner_;
    std::optional<Lead> lead_;  // of a pool over a communicator
    std::vector<std::unique_ptr<Site>> sites_;
    Engine* own_ = nullptr;

    std::mutex mutex_;
    std::condition_variable changed_;
    int works_ = 0;
    std::exception_ptr broken_;
    std::deque<std::shared_ptr<Attended>> to_attend_;
    std::deque<std::function<void()>> callbacks_;
    std::set<Stream*> streams_;
    bool stop_service_ = false, left_ranks_ = false, leaving_ranks_ = false;
    std::thread service_;

    std::mutex functions_mutex_;
    struct Stateless {
        const task::Descriptor* descriptor;
        std::size_t exceptions;  // that were registered when it was packed
        std::shared_ptr<const KnownFunction> function;
    };
    std::list<Stateless> stateless_;  // the last used first
    unsigned long long unloads_ = 0;  // of modules, when these were packed

    std::atomic<std::uint64_t> items_{0}, errors_{0}, reused_{0};
};

/// The core of a pool with these options. `who` is what errors name: "Pool". Throws what Pool's constructor throws.
std::shared_ptr<Core> make_core(const PoolOptions& options, const char* who);

/// While it lives, this thread runs a callback of a pool.
class InCallback {
  public:
    explicit InCallback(std::uint64_t pool);
    ~InCallback();
    InCallback(const InCallback&) = delete;
    InCallback& operator=(const InCallback&) = delete;

    /// Whether this thread runs one of that pool: it may be in several, one inside of the other.
    static bool of(std::uint64_t pool);

  private:
    std::uint64_t pool_;
    const InCallback* outer_;
};

/// Runs a callback of the program's, one of that pool; what it throws is reported and goes no further.
void run_callback(std::uint64_t pool, const std::function<void()>& callback);

}  // namespace rankpool::pool
