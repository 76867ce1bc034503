// Tasks that lead to further tasks: a small crawler over a web that is computed, not fetched.
//
// Page n links to pages 2n and 3n below a limit, so pages are found again and again. A callback of every page's future looks
// at its links and submits what nobody has seen yet: the web is read without any thread's waiting for a page. Then the
// pages are priced, taken as they are done; one task that takes for ever is given up after a time-out, and one that has not
// begun is cancelled.
//
//     ./web_of_tasks                   alone: two worker processes
//     rankrun -n 4 ./web_of_tasks      the same two workers, on ranks
//     mpirun -n 4 ./web_of_tasks       the same over MPI
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <iostream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using rankpool::Future;
using rankpool::ProcessPoolExecutor;

constexpr int limit = 1000;

struct Page {
    int number = 0;
    std::vector<int> links;
};

/// A task: "fetches" a page.
Page read_page(int number) {
    Page page{number, {}};
    for (const int link : {2 * number, 3 * number})
        if (link < limit) page.links.push_back(link);
    return page;
}

/// Another: what a page is worth. Page 96 is broken.
int price(int number) {
    if (number == 96) throw std::runtime_error("page 96 has no price");
    return number % 10;
}

/// One that never ends by itself.
void wait_for_ever() {
    for (;;) pause();
}

/// Reads all pages that can be reached from one. Callbacks run in the executor's own thread, one after the other.
class Crawler {
  public:
    explicit Crawler(ProcessPoolExecutor& executor) : executor_(executor) {}

    std::set<int> crawl(int first) {
        visit(first);
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return open_ == 0; });
        return seen_;
    }

  private:
    void visit(int number) {
        {
            const std::lock_guard lock(mutex_);
            if (!seen_.insert(number).second) return;
            ++open_;
        }
        executor_.submit(read_page, number).add_done_callback([this](Future<Page> page) {
            for (const int link : page.result().links) visit(link);
            const std::lock_guard lock(mutex_);
            if (--open_ == 0) changed_.notify_all();
        });
    }

    ProcessPoolExecutor& executor_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<int> seen_;
    int open_ = 0;
};

int run_web() {
    ProcessPoolExecutor executor(2);
    const std::set<int> pages = Crawler(executor).crawl(1);
    std::cout << "pages: " << pages.size() << ", the last one " << *pages.rbegin() << '\n';

    std::vector<Future<int>> prices;
    for (const int page : pages) prices.push_back(executor.submit(price, page));
    int sum = 0, broken = 0;
    for (Future<int>& one : rankpool::as_completed(prices)) {
        try {
            sum += one.result();
        } catch (const std::runtime_error& error) {
            ++broken;
            std::cout << "without a price: " << error.what() << '\n';
        }
    }
    std::cout << "worth: " << sum << ", broken: " << broken << '\n';

    // Two tasks keep both workers busy, so a third has not begun and can be cancelled.
    const std::vector<Future<void>> endless = {executor.submit(wait_for_ever), executor.submit(wait_for_ever)};
    Future<int> late = executor.submit(price, 1);
    const auto waited = rankpool::wait(endless, std::chrono::milliseconds(100));
    std::cout << std::boolalpha << "after a while: " << waited.done.size() << " of 2 done, still running: " << waited.not_done.front().running() << '\n';
    std::cout << "cancelled: " << late.cancel() << '\n';
    try {
        late.result();
    } catch (const rankpool::CancelledError& error) {
        std::cout << "its result: " << error.what() << '\n';
    }
    executor.kill_workers();  // or the executor's end would wait for ever
    for (Future<void> each : endless) std::cout << "given up: " << (each.exception() != nullptr) << '\n';
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, run_web);
}
