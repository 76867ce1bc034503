// Python's Pool in C++: a function over many items, on worker processes of this machine or of a whole job.
//
//     rankpool::Pool pool;                                         // a worker for every usable CPU
//     auto squares = pool.map([](int x) { return x * x; }, std::vector{1, 2, 3});
//     auto sums = pool.starmap([](int a, int b) { return a + b; }, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
//     auto one = pool.apply([](std::string name) { return "hello " + name; }, std::string("world"));
//
// Under rankpool::run() the same pool uses every rank of the job. User code runs in child processes: a crash costs the
// item that was being run (WorkerLost), a new worker takes its place. May be used from several threads.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include <rankpool/options.hpp>
#include <rankpool/pool/call.hpp>
#include <rankpool/pool/rows.hpp>
#include <rankpool/task/typed.hpp>
#include <rankpool/task_function.hpp>

namespace rankpool {

/// Choices for a pool. Negative numbers: std::invalid_argument from the constructor.
struct PoolOptions {
    int processes = 0;                 ///< workers; 0: all usable CPUs, in a job every rank's share of its node's, at least one a rank
    Backend backend = Backend::automatic;
    TaskFunction<void()> initializer = {};  ///< runs once in every worker, replacements too
    int max_tasks_per_child = 0;       ///< items after which a worker is replaced; 0: never
    OnLoss on_loss = OnLoss::fail_item;
    int max_retries = 2;               ///< with OnLoss::retry
    std::chrono::nanoseconds task_timeout{0};  ///< an item that runs longer fails with TaskTimeout, its worker is replaced; 0: none
};

class Pool {
  public:
    /// Starts `processes` workers (0: see PoolOptions). Throws std::invalid_argument, LaunchError, BrokenProcessPool.
    explicit Pool(int processes = 0) : Pool(PoolOptions{.processes = processes}) {}
    explicit Pool(PoolOptions options);
    /// terminate(), as Python's with-block.
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// results[i] == function(items[i]); void when the function returns void. `items`: any input range, read in this
    /// thread. Throws the error of the smallest index that failed, as its own type (remote_info says where it was
    /// thrown); WorkerLost for an item whose worker died; PoolClosed, BrokenProcessPool. Python's Pool.map.
    template <class F, std::ranges::input_range Items>
    auto map(F&& function, Items&& items, MapOptions options = {}) {
        return call<std::ranges::range_value_t<Items>>(std::forward<F>(function), std::forward<Items>(items), options);
    }
    template <class F, class Item>
    auto map(F&& function, std::initializer_list<Item> items, MapOptions options = {}) {
        return call<Item>(std::forward<F>(function), items, options);
    }

    /// The same with each item a tuple or pair, its elements the arguments. Python's Pool.starmap.
    template <class F, std::ranges::input_range Tuples>
    auto starmap(F&& function, Tuples&& tuples, MapOptions options = {}) {
        using Star = task::Star<std::decay_t<F>>;
        return call<std::ranges::range_value_t<Tuples>>(Star{std::forward<F>(function)}, std::forward<Tuples>(tuples), options);
    }
    template <class F, class Tuple>
    auto starmap(F&& function, std::initializer_list<Tuple> tuples, MapOptions options = {}) {
        return call<Tuple>(task::Star<std::decay_t<F>>{std::forward<F>(function)}, tuples, options);
    }

    /// function(arguments...) in a worker. Python's Pool.apply.
    template <class F, class... Args>
    auto apply(F&& function, Args&&... arguments) {
        using Tuple = std::tuple<std::decay_t<Args>...>;
        using Star = task::Star<std::decay_t<F>>;
        std::vector<Tuple> item;
        item.emplace_back(std::forward<Args>(arguments)...);
        using R = task::RawResult<Star, Tuple>;
        if constexpr (std::is_void_v<R>) {
            call<Tuple>(Star{std::forward<F>(function)}, item, {});
        } else {
            auto results = call<Tuple>(Star{std::forward<F>(function)}, item, {});
            return static_cast<std::decay_t<R>>(std::move(results.front()));
        }
    }

    /// No new work from now on (PoolClosed); accepted work completes.
    void close();
    /// Ends the workers at once; unfinished work fails with CancelledError.
    void terminate();
    /// Waits for accepted work, then for the workers' end. Before close() or terminate(): std::logic_error.
    void join();

    /// Number of workers.
    int size() const;
    /// Who they are at this moment.
    std::vector<WorkerInfo> workers() const;

  private:
    template <class Item, class F, class Items>
    auto call(F&& function, Items&& items, const MapOptions& options) {
        using Function = std::decay_t<F>;
        static_assert(std::is_invocable_v<Function&, Item&&>, "rankpool: the function cannot be called with the range's items");
        using Raw = task::RawResult<Function, Item>;
        using R = task::Result<Function, Item>;
        wire::require_transferable<Item>();
        wire::require_transferable<R>();
        using Typed = task::Typed<Function, Item>;

        wire::Buffer bytes;
        const Function callable(std::forward<F>(function));
        task::Codec<Function>::encode(bytes, callable, false);
        const pool::Rows<Item> rows(items);
        pool::CallOutput output;
        pool::Results<R> results(rows.input().count, output);
        pool::run_call(*core_, Typed::descriptor, bytes, rows.input(), options, output);
        if (output.error) std::rethrow_exception(output.error);
        if constexpr (!std::is_void_v<Raw>) return results.take(output);
    }

    std::unique_ptr<pool::Core, void (*)(pool::Core*)> core_;
};

}  // namespace rankpool
