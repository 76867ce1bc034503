// Futures, wait and as_completed, as Python's suite checks them (167 to 182), with their meaning here; and what is said of
// executors in a job (183 to 189).
//
// Not here: 173 (only an executor completes a future), 174 (no text form), 181 and 182 (no collections of futures), 183 and
// 184 (no executor over a communicator), 186 (tests/launch), 187 (tests/launch), 188 (this binary under every launch: see
// tests/CMakeLists.txt), 189 (comm's concern).
#include <algorithm>
#include <future>
#include <list>
#include <thread>

#include "semantics/executor_semantics.hpp"

namespace {

using namespace executor_test;
using namespace std::chrono_literals;
using rankpool::ReturnWhen;

int work(int x) { return x; }
int fail(int x) { throw std::domain_error("task " + std::to_string(x)); }

// A future in each state, of an executor with one worker.
struct States {
    ProcessPoolExecutor executor;
    std::string door;
    Future<int> finished, failed, running, pending, cancelled;
    States(const ExecutorOptions& options, const std::string& at) : executor(options), door(at) {
        finished = executor.submit(work, 1);
        failed = executor.submit(fail, 2);
        failed.exception();
        running = executor.submit(pass, door, 3);
        pending = executor.submit(pass, door, 4);
        cancelled = executor.submit(work, 5);
        cancelled.cancel();
    }
    ~States() { open_door(door); }
    std::vector<Future<int>> all() const { return {finished, failed, running, pending, cancelled}; }
};

TEST_P(Semantics, B167_CallbacksSeeResultErrorOrCancellationBeforeAndAfter) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    const auto outcome = [](Future<int> future) -> std::string {
        if (future.cancelled()) return "cancelled";
        return future.exception() ? "error" : std::to_string(future.result());
    };
    std::string seen;
    states.finished.add_done_callback([&](Future<int> future) { seen += outcome(future) + ' '; });
    states.failed.add_done_callback([&](Future<int> future) { seen += outcome(future) + ' '; });
    states.cancelled.add_done_callback([&](Future<int> future) { seen += outcome(future) + ' '; });
    EXPECT_EQ(seen, "1 error cancelled ") << "at once where it is over";
    std::promise<std::string> result, cancellation;
    states.running.add_done_callback([&](Future<int> future) { result.set_value(outcome(future)); });
    states.pending.add_done_callback([&](Future<int> future) { cancellation.set_value(outcome(future)); });
    EXPECT_TRUE(states.pending.cancel());
    EXPECT_EQ(cancellation.get_future().get(), "cancelled");
    open_door(states.door);
    EXPECT_EQ(result.get_future().get(), "3");
}

TEST_P(Semantics, B168_CallbacksRunInTheOrderAddedWhateverOneThrows) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    std::vector<int> order;
    std::promise<void> last;
    testing::internal::CaptureStderr();
    for (int i = 0; i < 50; ++i)
        states.running.add_done_callback([&, i, owned = std::make_unique<int>(i)](Future<int>) {
            order.push_back(*owned);
            if (i % 10 == 3) throw std::runtime_error("callback " + std::to_string(i));
            if (i == 49) last.set_value();
        });
    open_door(states.door);
    last.get_future().wait();
    EXPECT_EQ(order, numbers(50));
    EXPECT_NE(testing::internal::GetCapturedStderr().find("callback 43"), std::string::npos);
}

TEST_P(Semantics, B169_Cancel) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    EXPECT_TRUE(states.pending.cancel());
    EXPECT_TRUE(states.pending.cancel());
    EXPECT_TRUE(states.cancelled.cancel());
    EXPECT_FALSE(states.running.cancel());
    EXPECT_FALSE(states.finished.cancel());
    EXPECT_FALSE(states.failed.cancel());
    EXPECT_TRUE(states.running.running());
    EXPECT_EQ(states.finished.result(), 1);
}

TEST_P(Semantics, B170_TheStates) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    const auto row = [](const Future<int>& future) { return std::tuple(future.cancelled(), future.done(), future.running()); };
    EXPECT_EQ(row(states.pending), std::tuple(false, false, false));
    EXPECT_EQ(row(states.running), std::tuple(false, false, true));
    EXPECT_EQ(row(states.cancelled), std::tuple(true, true, false));
    EXPECT_EQ(row(states.finished), std::tuple(false, true, false));
    EXPECT_EQ(row(states.failed), std::tuple(false, true, false));
}

TEST_P(Semantics, B171_ResultAndExceptionWithoutTime) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    for (Future<int>* future : {&states.pending, &states.running}) {
        EXPECT_THROW(future->result(0ns), rankpool::TimeoutError);
        EXPECT_THROW(future->exception(0ns), rankpool::TimeoutError);
        EXPECT_THROW(future->result(-1s), rankpool::TimeoutError);
    }
    EXPECT_THROW(states.cancelled.result(0ns), rankpool::CancelledError);
    EXPECT_THROW(states.cancelled.exception(0ns), rankpool::CancelledError);
    EXPECT_THROW(states.cancelled.exception(), rankpool::CancelledError);
    EXPECT_THROW(states.failed.result(0ns), std::domain_error);
    EXPECT_THROW(std::rethrow_exception(states.failed.exception(0ns)), std::domain_error);
    EXPECT_EQ(states.finished.result(0ns), 1);
    EXPECT_EQ(states.finished.exception(0ns), nullptr);
}

TEST_P(Semantics, B172_AWaiterIsWokenByTheResultAndByCancel) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    std::thread cancels([&] { EXPECT_THROW(states.pending.result(), rankpool::CancelledError); });
    std::thread reads([&] { EXPECT_EQ(states.running.result(), 3); });
    EXPECT_TRUE(states.pending.cancel());
    cancels.join();
    open_door(states.door);
    reads.join();
}

TEST_P(Semantics, B175_WaitGivesEachFutureOnceInTheOrderOfTheInput) {
    ProcessPoolExecutor executor(options());
    Future<int> a = executor.submit(work, 1), b = executor.submit(work, 2);
    const auto result = rankpool::wait({b, a, b, a, a});
    ASSERT_EQ(result.done.size(), 2u);
    EXPECT_EQ(Future<int>(result.done[0]).result(), 2);
    EXPECT_EQ(Future<int>(result.done[1]).result(), 1);
    EXPECT_TRUE(result.not_done.empty());
}

TEST_P(Semantics, B176_WaitForTheFirst) {
    if (!concurrent()) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(2));
    Future<int> slow = executor.submit(pass, door, 1), quick = executor.submit(work, 2);
    auto result = rankpool::wait({slow, quick}, std::nullopt, ReturnWhen::first_completed);
    ASSERT_EQ(result.done.size(), 1u);
    EXPECT_EQ(result.done[0].result(), 2);
    EXPECT_EQ(result.not_done.size(), 1u);
    result = rankpool::wait(std::list{slow, quick}, std::nullopt, ReturnWhen::first_completed);
    EXPECT_EQ(result.done.size(), 1u) << "one that is over already suffices";
    open_door(door);
    Future<int> cancelled = executor.submit(pass, door, 3);
    cancelled.cancel();
    EXPECT_EQ(rankpool::wait({cancelled}, std::nullopt, ReturnWhen::first_completed).done.size(), 1u);
}

TEST_P(Semantics, B177_WaitForTheFirstErrorIgnoresCancellations) {
    if (!concurrent()) return;
    const std::string door = path("door"), other = path("other");
    ProcessPoolExecutor executor(options(2));
    Future<int> slow = executor.submit(pass, door, 1);
    Future<int> failing = executor.submit([](const std::string& at) { pass(at, 0); return fail(2); }, other);
    Future<int> cancelled = executor.submit(work, 3);
    EXPECT_TRUE(cancelled.cancel());
    auto result = rankpool::wait({slow, failing, cancelled}, 1ms, ReturnWhen::first_exception);
    EXPECT_EQ(result.done.size(), 1u) << "a cancellation is no error";
    open_door(other);
    result = rankpool::wait({slow, failing, cancelled}, std::nullopt, ReturnWhen::first_exception);
    EXPECT_EQ(result.done.size(), 2u);
    EXPECT_EQ(result.not_done.size(), 1u);
    EXPECT_EQ(rankpool::wait({slow, failing}, std::nullopt, ReturnWhen::first_exception).done.size(), 1u) << "one that has failed already suffices";
    open_door(door);
    EXPECT_EQ(rankpool::wait({slow, cancelled}, std::nullopt, ReturnWhen::first_exception).done.size(), 2u) << "without an error: all";
}

TEST_P(Semantics, B178_WaitForAllOrUntilTheTimeIsOver) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    auto result = rankpool::wait(states.all(), 1ms);
    EXPECT_EQ(result.done.size(), 3u);
    EXPECT_EQ(result.not_done.size(), 2u);
    open_door(states.door);
    result = rankpool::wait(states.all());
    EXPECT_EQ(result.done.size(), 5u);
    EXPECT_TRUE(rankpool::wait(std::vector<Future<int>>()).done.empty());
}

TEST_P(Semantics, B179_AsCompletedGivesWhatIsThereThenTheRest) {
    if (!concurrent()) return;
    States states(options(1), path("door"));
    std::vector<Future<int>> four{states.finished, states.running, states.pending, states.cancelled, states.finished};
    auto some = rankpool::as_completed(four, 0ns);
    EXPECT_TRUE(some.next()->done());
    EXPECT_TRUE(some.next()->done());
    try {
        some.next();
        FAIL();
    } catch (const rankpool::TimeoutError& error) {
        EXPECT_NE(std::string(error.what()).find("2 (of 4) futures unfinished"), std::string::npos) << error.what();
    }
    EXPECT_FALSE(some.next().has_value());
    auto patient = rankpool::as_completed(four);
    EXPECT_TRUE(patient.next() && patient.next());
    EXPECT_THROW(patient.next(1ms), rankpool::TimeoutError);
    EXPECT_THROW(patient.next(1ms), rankpool::TimeoutError);
    open_door(states.door);
    std::vector<int> rest;
    for (Future<int>& future : patient) rest.push_back(future.result());
    EXPECT_EQ(rest, (std::vector{3, 4})) << "in the order of completion";
    int count = 0;
    for (Future<int>& future : rankpool::as_completed(std::list<Future<int>>{states.failed, states.pending, states.failed})) count += future.done();
    EXPECT_EQ(count, 2);
}

TEST_P(Semantics, B180_AHundredFuturesThatCompleteWhileTheyAreWaitedFor) {
    ProcessPoolExecutor a(options(2)), b(options(1));
    for (int round = 0; round < 10; ++round) {
        std::vector<Future<int>> futures;
        for (int i = 0; i < 100; ++i) futures.push_back((i % 3 == 0 ? b : a).submit(work, i));
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 3; ++thread)
            threads.emplace_back([&] {
                EXPECT_EQ(rankpool::wait(futures).done.size(), 100u);
                int count = 0;
                for (const auto& future : rankpool::as_completed(futures)) count += future.done();
                EXPECT_EQ(count, 100);
            });
        for (auto& thread : threads) thread.join();
    }
}

TEST_P(Semantics, B185_ATaskKnowsItsWorker) {
    EXPECT_FALSE(rankpool::current_worker().has_value());
    ProcessPoolExecutor executor(options(3));
    const auto [size, index] = executor.submit([] {
        const auto worker = rankpool::current_worker();
        return std::pair(worker->size, worker->index);
    }).result();
    EXPECT_EQ(size, executor.size());
    EXPECT_LT(index, size);
    EXPECT_EQ(executor.workers().size(), static_cast<std::size_t>(executor.size()));
}

}  // namespace
