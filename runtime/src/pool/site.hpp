// A place with workers, as a pool that has several of them sees it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "pool/engine.hpp"
#include "spmd/post.hpp"

namespace rankpool::pool {

class Site {
  public:
    virtual ~Site() = default;

    virtual int workers() const = 0;
    virtual std::vector<WorkerInfo> worker_infos() = 0;
    /// Makes a function known, for batches to come, until it is forgotten.
    virtual std::uint64_t add_function(const Function& function) = 0;
    virtual void forget(std::uint64_t function) = 0;
    /// Gives a batch. `sink` and `over` are called on a thread of the site's, and must be quick; `over` comes last, once.
    /// `items` are read until then.
    virtual std::uint64_t give(std::uint64_t function, std::uint32_t result_size, const Items& items,
                               const JobOptions& options, Sink& sink, std::function<void()> over) = 0;
    /// Drops what of a batch was not started; `over` still comes.
    virtual void cancel(std::uint64_t batch) = 0;
    /// Unfinished batches fail; the workers are killed.
    virtual void terminate() = 0;
};

/// The workers of this process.
class OwnSite final : public Site {
  public:
    explicit OwnSite(EngineOptions options) : workers_(options.workers), engine_(std::move(options)) {}

    Engine& engine() { return engine_; }
    int workers() const override { return workers_; }
    std::vector<WorkerInfo> worker_infos() override { return engine_.workers(); }
    std::uint64_t add_function(const Function& function) override { return engine_.add_function(function); }
    void forget(std::uint64_t function) override { engine_.forget(function); }
    std::uint64_t give(std::uint64_t function, std::uint32_t result_size, const Items& items, const JobOptions& options,
                       Sink& sink, std::function<void()> over) override {
        engine_.start_service();
        const auto job = engine_.add_job(function, result_size, items, options, sink, std::move(over));
        engine_.wake();
        return job;
    }
    void cancel(std::uint64_t batch) override { engine_.cancel(batch, false); }
    void terminate() override;

  private:
    int workers_;
    Engine engine_;
};

}  // namespace rankpool::pool
