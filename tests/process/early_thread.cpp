// A thread that a static initialiser starts: in a program that has one, every child process is made by executing the
// program again.
#include <condition_variable>
#include <mutex>
#include <thread>

namespace {

class EarlyThread {
  public:
    ~EarlyThread() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stop_ = false;
    std::thread thread_{[this] {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stop_; });
    }};
};
EarlyThread early;

}  // namespace
