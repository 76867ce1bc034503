// Workers that are threads of this process, or the calling thread itself (serial): for debugging and for work that waits
// on input and output. Same results and errors as processes, no isolation: a crash takes the program with it.
//
// A thread cannot be killed. When the pool is terminated while one runs a task, the thread finishes that task on its own,
// its result is dropped, and it ends; everything it uses is kept alive by it until then.
#pragma once

#include <memory>

#include "pool/site.hpp"

namespace rankpool::pool {

class ThreadSite final : public Site {
  public:
    /// Starts the threads; each runs the initializer (a packed function; empty: none). Throws BrokenProcessPool when it fails.
    ThreadSite(int workers, bool serial, const std::vector<std::byte>& initializer);
    ~ThreadSite() override;

    int workers() const override { return workers_; }
    std::vector<WorkerStats> worker_stats() override;
    std::uint64_t add_function(const Function& function) override;
    void forget(std::uint64_t function) override;
    std::uint64_t give(std::uint64_t function, std::uint32_t result_size, const Items& items, const JobOptions& options,
                       Sink& sink, std::function<void()> over) override;
    void drain(std::uint64_t batch) override;
    bool cancel(std::uint64_t batch) override;
    std::optional<bool> has_begun(std::uint64_t batch) override;
    std::vector<std::optional<bool>> take_back(const std::vector<std::uint64_t>& batches) override;
    void terminate(int signal) override;

  private:
    struct Batch;
    struct Shared;
    class Runner;
    void start_threads(const std::vector<std::byte>& initializer);

    int workers_;
    bool serial_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace rankpool::pool
