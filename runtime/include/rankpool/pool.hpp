// Python's Pool in C++: a function over many items, on worker processes of this machine or of a whole job.
//
//     rankpool::Pool pool;                                         // a worker for every usable CPU
//     auto squares = pool.map([](int x) { return x * x; }, std::vector{1, 2, 3});
//     auto sums = pool.starmap([](int a, int b) { return a + b; }, std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
//     auto later = pool.map_async(render, frames);                 // AsyncResult: get(), wait(), on_result()
//     for (auto& line : pool.imap(parse, lines)) use(line);        // as they come, in order, input read as needed
//
// Under rankpool::run() the same pool uses every rank of the job. User code runs in child processes: a crash costs the
// item that was being run (WorkerLost), a new worker takes its place. May be used from several threads.
//
// Errors of a call: that of the item with the smallest index, as its own type (remote_info says where it was thrown);
// WorkerLost for an item whose worker died; PoolClosed, BrokenProcessPool, CancelledError for the pool as a whole;
// std::invalid_argument for a function that captured an address, before anything runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/async_result.hpp>
#include <rankpool/error.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>
#include <rankpool/pool/fold.hpp>
#include <rankpool/pool/typed_call.hpp>
#include <rankpool/result_range.hpp>
#include <rankpool/stats.hpp>
#include <rankpool/task_function.hpp>

namespace rankpool {

class Communicator;

/// Choices for a pool. Negative numbers, and what a backend cannot honour (task_timeout and max_tasks_per_child on threads
/// or serial): std::invalid_argument from the constructor.
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
    template <class Range>
    using ItemOf = std::ranges::range_value_t<Range>;
    template <class F>
    using StarOf = task::Star<std::decay_t<F>>;

  public:
    /// Starts `processes` workers (0: see PoolOptions). Throws std::invalid_argument, LaunchError, BrokenProcessPool.
    explicit Pool(int processes = 0) : Pool(PoolOptions{.processes = processes}) {}
    explicit Pool(PoolOptions options);
    /// Inside of spmd(): a pool over the communicator's ranks. rank 0 gets it; the others run its workers, in this
    /// constructor, until it is closed (or terminated, or destroyed) and its work is done; what they get takes no work.
    /// Collective, with options that are right on every rank; those of rank 0 count. mpi4py's MPICommExecutor.
    explicit Pool(Communicator& communicator, PoolOptions options = {});
    /// terminate(), as Python's with-block.
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// results[i] == function(items[i]); void when the function returns void. `items`: any input range, read in this
    /// thread. Python's Pool.map.
    template <class F, std::ranges::input_range Items>
    auto map(F&& function, Items&& items, MapOptions options = {}) {
        using Item = ItemOf<Items>;
        return pool::call_now<Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), items, options);
    }
    template <class F, class Item>
    auto map(F&& function, std::initializer_list<Item> items, MapOptions options = {}) {
        return pool::call_now<Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), items, options);
    }

    /// The same, results written to `out`, a contiguous range. Throws std::invalid_argument when it is smaller than the
    /// input, before anything runs; where it is larger the rest is untouched.
    template <class F, std::ranges::input_range Items, class Out>
        requires std::ranges::contiguous_range<Out> && std::ranges::sized_range<Out>
    void map_into(F&& function, Items&& items, Out&& out, MapOptions options = {}) {
        using Item = ItemOf<Items>;
        using Typed = pool::TypedFunction<F, Item>;
        using R = typename Typed::R;
        static_assert(!Typed::returns_nothing, "rankpool: the function of map_into must return a value");
        static_assert(std::is_assignable_v<std::ranges::range_reference_t<Out>, R>, "rankpool: the results cannot be assigned to the elements of map_into's output");
        const Typed typed(std::forward<F>(function));
        const pool::Rows<Item> rows(items);
        const std::size_t count = rows.input().count;
        if (std::ranges::size(out) < count)
            throw std::invalid_argument("Pool::map_into: the output has room for " + std::to_string(std::ranges::size(out)) + " results, the input has " +
                                        std::to_string(count) + " items");
        pool::CallOutput output;
        if constexpr (task::in_rows<R> && std::is_same_v<std::ranges::range_value_t<Out>, R>) {
            output.rows = reinterpret_cast<std::byte*>(std::ranges::data(out));
            pool::run_call(core_, typed.descriptor(), typed.bytes, rows.input(), options, output);
            rows.add_refused(output);
            if (output.error) std::rethrow_exception(output.error);
        } else {
            const pool::RawResults<R> results(count, output);
            pool::run_call(core_, typed.descriptor(), typed.bytes, rows.input(), options, output);
            rows.add_refused(output);
            if (output.error) std::rethrow_exception(output.error);
            for (std::size_t i = 0; i < count; ++i) std::ranges::data(out)[i] = results.at(i, output);
        }
    }
    template <class F, class Item, class Out>
        requires std::ranges::contiguous_range<Out> && std::ranges::sized_range<Out>
    void map_into(F&& function, std::initializer_list<Item> items, Out&& out, MapOptions options = {}) {
        map_into(std::forward<F>(function), std::span<const Item>(items), std::forward<Out>(out), options);
    }

    /// Every item's value or error, by index: no failure hides another's result.
    template <class F, std::ranges::input_range Items>
    auto map_outcomes(F&& function, Items&& items, MapOptions options = {}) {
        using Item = ItemOf<Items>;
        return pool::call_for_outcomes<Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), items, options);
    }
    template <class F, class Item>
    auto map_outcomes(F&& function, std::initializer_list<Item> items, MapOptions options = {}) {
        return pool::call_for_outcomes<Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), items, options);
    }

    /// operation(…operation(operation(init, f(items[0])), f(items[1]))…, f(items[n-1])) with the brackets set anew: the
    /// results are folded in blocks that depend on their number only, the blocks in order, `init` leftmost and once. So the
    /// digits do not depend on workers or chunks. `operation` is a task function, T(T, T), associative; it runs in the
    /// workers too, and what it throws is thrown here. Of no items: `init`.
    template <class F, std::ranges::input_range Items, class Operation, class T>
    T map_reduce(F&& function, Items&& items, Operation&& operation, T init, MapOptions options = {}) {
        return reduce_all(map(std::forward<F>(function), items, options), std::forward<Operation>(operation), std::move(init));
    }
    template <class F, class Item, class Operation, class T>
    T map_reduce(F&& function, std::initializer_list<Item> items, Operation&& operation, T init, MapOptions options = {}) {
        return reduce_all(map(std::forward<F>(function), items, options), std::forward<Operation>(operation), std::move(init));
    }

    /// map that returns at once. The input is copied, or taken if it is an rvalue. Python's Pool.map_async.
    template <class F, std::ranges::input_range Items>
    auto map_async(F&& function, Items&& items, MapOptions options = {}) {
        using Item = ItemOf<Items>;
        return pool::call_async<false, Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), std::forward<Items>(items), options);
    }
    template <class F, class Item>
    auto map_async(F&& function, std::initializer_list<Item> items, MapOptions options = {}) {
        return map_async(std::forward<F>(function), std::vector<Item>(items), options);
    }

    /// Results in the order of the input, as they are asked for: at most `buffersize` items are read ahead, in the thread
    /// that asks, so endless inputs work. std::monostate when the function returns void. The input is copied, taken if it is
    /// an rvalue, and referred to if it cannot be copied. Python's Pool.imap.
    template <class F, std::ranges::input_range Items>
    auto imap(F&& function, Items&& items, MapOptions options = {}) {
        using Item = ItemOf<Items>;
        return pool::stream<true, Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), std::forward<Items>(items), options);
    }
    template <class F, class Item>
    auto imap(F&& function, std::initializer_list<Item> items, MapOptions options = {}) {
        return imap(std::forward<F>(function), std::vector<Item>(items), options);
    }
    /// The same as (item index, result), in the order in which they are ready. Python's Pool.imap_unordered.
    template <class F, std::ranges::input_range Items>
    auto imap_unordered(F&& function, Items&& items, MapOptions options = {}) {
        using Item = ItemOf<Items>;
        return pool::stream<false, Item>(core_, pool::TypedFunction<F, Item>(std::forward<F>(function)), std::forward<Items>(items), options);
    }
    template <class F, class Item>
    auto imap_unordered(F&& function, std::initializer_list<Item> items, MapOptions options = {}) {
        return imap_unordered(std::forward<F>(function), std::vector<Item>(items), options);
    }

    /// map with each item a tuple or pair, its elements the arguments. Python's Pool.starmap.
    template <class F, std::ranges::input_range Tuples>
    auto starmap(F&& function, Tuples&& tuples, MapOptions options = {}) {
        return map(StarOf<F>{std::forward<F>(function)}, std::forward<Tuples>(tuples), options);
    }
    template <class F, class Tuple>
    auto starmap(F&& function, std::initializer_list<Tuple> tuples, MapOptions options = {}) {
        return map(StarOf<F>{std::forward<F>(function)}, tuples, options);
    }
    template <class F, std::ranges::input_range Tuples>
    auto starmap_async(F&& function, Tuples&& tuples, MapOptions options = {}) {
        return map_async(StarOf<F>{std::forward<F>(function)}, std::forward<Tuples>(tuples), options);
    }
    template <class F, class Tuple>
    auto starmap_async(F&& function, std::initializer_list<Tuple> tuples, MapOptions options = {}) {
        return map_async(StarOf<F>{std::forward<F>(function)}, tuples, options);
    }

    /// function(arguments...) in a worker. Python's Pool.apply.
    template <class F, class... Args>
    auto apply(F&& function, Args&&... arguments) {
        using Tuple = std::tuple<std::decay_t<Args>...>;
        const pool::TypedFunction<StarOf<F>, Tuple> typed(StarOf<F>{std::forward<F>(function)});
        if constexpr (decltype(typed)::returns_nothing)
            pool::call_now<Tuple>(core_, typed, one<Tuple>(std::forward<Args>(arguments)...), {});
        else  // the cast: a vector<bool> has no bools inside
            return static_cast<typename decltype(typed)::Value>(
                std::move(pool::call_now<Tuple>(core_, typed, one<Tuple>(std::forward<Args>(arguments)...), {}).front()));
    }
    /// The same, returning at once. Python's Pool.apply_async.
    template <class F, class... Args>
    auto apply_async(F&& function, Args&&... arguments) {
        using Tuple = std::tuple<std::decay_t<Args>...>;
        return pool::call_async<true, Tuple>(core_, pool::TypedFunction<StarOf<F>, Tuple>(StarOf<F>{std::forward<F>(function)}),
                                             one<Tuple>(std::forward<Args>(arguments)...), {});
    }

    /// No new work from now on (PoolClosed); accepted work completes.
    void close();
    /// Ends the workers at once; unfinished work fails with CancelledError.
    void terminate();
    /// Waits for accepted work, then for the workers' end. Before close() or terminate(): std::logic_error.
    void join();

    /// Number of workers. Local.
    int size() const;
    /// Who they are at this moment.
    std::vector<WorkerInfo> workers() const;
    /// What they have done so far.
    PoolStats stats() const;

  private:
    template <class Tuple, class... Args>
    static std::vector<Tuple> one(Args&&... arguments) {
        std::vector<Tuple> item;
        item.emplace_back(std::forward<Args>(arguments)...);
        return item;
    }

    template <class R, class Operation, class T>
    T reduce_all(std::vector<R> values, Operation&& operation, T init) {
        using Fold = pool::Fold<std::decay_t<Operation>, T>;
        if (values.empty()) return init;
        const Fold fold{std::forward<Operation>(operation)};
        auto partial = map(fold, pool::fixed_blocks<T>(std::move(values)));
        partial.insert(partial.begin(), std::move(init));
        std::vector<std::vector<T>> last;
        last.push_back(std::move(partial));
        return static_cast<T>(std::move(map(fold, last).front()));
    }

    std::shared_ptr<pool::Core> core_;
};

}  // namespace rankpool
