// A place with workers, as a pool that has several of them sees it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "pool/engine.hpp"

namespace rankpool::pool {

class Site {
  public:
    virtual ~Site() = default;

    virtual int workers() const = 0;
    virtual std::vector<WorkerStats> worker_stats() = 0;
    /// Makes a function known, for batches to come, until it is forgotten.
    virtual std::uint64_t add_function(const Function& function) = 0;
    virtual void forget(std::uint64_t function) = 0;
    /// Gives a batch. `sink` and `over` are called on any thread, maybe before this returns, and must be quick; `over`
    /// comes last, once. `items` are read until then. Throws why the site can do nothing any more.
    virtual std::uint64_t give(std::uint64_t function, std::uint32_t result_size, const Items& items,
                               const JobOptions& options, Sink& sink, std::function<void()> over) = 0;
    /// Drops what of a batch was not started. True when the batch is over by that, without its `over`; false when that
    /// still comes.
    virtual bool cancel(std::uint64_t batch) = 0;
    /// Whether a worker has taken something of a batch, or had when the batch ended. Nothing when the place does not answer in time.
    virtual std::optional<bool> has_begun(std::uint64_t batch) = 0;
    /// Takes back those of the batches of which no worker has taken anything: their `sink` and `over` are not called then. Which
    /// ones. Where the place does not answer in time there is nothing, and Sink::taken_back() may come later.
    virtual std::vector<std::optional<bool>> take_back(const std::vector<std::uint64_t>& batches) = 0;
    /// Starts nothing more of a batch. What runs is told so (stop_requested); its results still come, and then its `over`.
    virtual void drain(std::uint64_t batch) = 0;
    /// Calls `tell`, on any thread, when the site finds by itself that it can do nothing any more. It must be quick.
    virtual void when_broken(std::function<void(const std::exception_ptr&)>) {}
    /// Unfinished batches fail; the workers are sent `signal`, threads end after what they run.
    virtual void terminate(int signal) = 0;
    /// Of workers that are children of this process: their engine, to be driven by whoever waits. Else null.
    virtual Engine* engine() { return nullptr; }

    /// Items of the calls' batches that are under way here: for whoever chooses among sites.
    std::atomic<std::uint64_t> load{0};
};

/// The workers of this process.
class OwnSite final : public Site {
  public:
    explicit OwnSite(EngineOptions options) : workers_(options.workers), engine_(std::move(options)) {}

    Engine* engine() override { return &engine_; }
    int workers() const override { return workers_; }
    std::vector<WorkerStats> worker_stats() override { return engine_.stats(); }
    std::uint64_t add_function(const Function& function) override { return engine_.add_function(function); }
    void forget(std::uint64_t function) override { engine_.forget(function); }
    std::uint64_t give(std::uint64_t function, std::uint32_t result_size, const Items& items, const JobOptions& options,
                       Sink& sink, std::function<void()> over) override {
        return engine_.add_job(function, result_size, items, options, sink, std::move(over));
    }
    bool cancel(std::uint64_t batch) override {
        return engine_.cancel(batch, true);
    }
    std::optional<bool> has_begun(std::uint64_t batch) override { return engine_.has_begun(batch); }
    std::vector<std::optional<bool>> take_back(const std::vector<std::uint64_t>& batches) override {
        std::vector<std::optional<bool>> taken;
        for (const std::uint64_t batch : batches) taken.push_back(engine_.take_back(batch));
        return taken;
    }
    void drain(std::uint64_t batch) override { engine_.drain_job(batch); }
    void when_broken(std::function<void(const std::exception_ptr&)> tell) override { engine_.when_broken(std::move(tell)); }
    void terminate(int signal) override;

  private:
    int workers_;
    Engine engine_;
};

}  // namespace rankpool::pool
