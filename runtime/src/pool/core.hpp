// A pool without its types: where its workers are, and how a call is spread over them.
//
// A site is a place with workers: this process's own engine, or that of another rank. A pool with only its own engine
// gives it every call whole. With several sites a call is handed out in batches that shrink towards its end, two at a
// time to each site so that none waits for the next; inside a site a batch is a job of its engine like any other.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "pool/engine.hpp"
#include "pool/site.hpp"
#include <rankpool/pool/call.hpp>

namespace rankpool::pool {

class CallSink;

class Core {
  public:
    Core(int processes, Backend backend, EngineOptions options);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    void run(const task::Descriptor& descriptor, std::span<const std::byte> function, const CallInput& input,
             const MapOptions& options, CallOutput& output);
    int size() const { return size_; }
    std::vector<WorkerInfo> workers();
    void close();
    void terminate();
    void join();

  private:
    void check_open() const;
    void run_here(const Function& function, const Items& items, const JobOptions& options, CallSink& sink, bool fail_fast);
    void run_on_sites(const Function& function, const Items& items, const JobOptions& options, CallSink& sink, bool fail_fast);
    std::uint64_t batch_size(const Site& site, const Items& items, const JobOptions& options, std::uint64_t next) const;

    enum class Phase { open, closed, terminated };
    std::atomic<Phase> phase_{Phase::open};
    int size_ = 0;
    pid_t owner_;
    std::vector<std::unique_ptr<Site>> sites_;
    Engine* own_ = nullptr;  // when the only site is this process
    std::mutex calls_mutex_;
    std::condition_variable calls_changed_;
    int calls_ = 0;
};

}  // namespace rankpool::pool
