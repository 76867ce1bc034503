#include "pool/drain.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "entry/context.hpp"
#include "os/blocked_signals.hpp"
#include "os/failure.hpp"
#include "os/unique_fd.hpp"
#include "pool/manager.hpp"

namespace rankpool::pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array watched_signals{SIGTERM, SIGUSR1};

constexpr char end_of_time[] = "the end of the Slurm job's time";

std::string name_of(int signal) { return std::string("SIG") + sigabbrev_np(signal); }

std::chrono::duration<double> grace() {
    const char* text = std::getenv("RANKPOOL_GRACE");
    if (text == nullptr || *text == '\0') return std::chrono::seconds(4);  // less than launchers give
    char* end = nullptr;
    const double seconds = std::strtod(text, &end);
    if (*end != '\0' || !(seconds >= 0) || seconds > 1e6)
        throw std::invalid_argument(std::string("RANKPOOL_GRACE = \"") + text + "\"; expected a number of seconds");
    return std::chrono::duration<double>(seconds);
}

// The two signals on their way into a pipe, while they are caught.
class SignalPipe {
  public:
    SignalPipe() {
        int ends[2];
        os::check(pipe2(ends, O_CLOEXEC | O_NONBLOCK), "pipe2");
        reading_.reset(ends[0]);
        writing_.reset(ends[1]);
        into_ = ends[1];
    }

    void catch_signals() {
        owner_ = getpid();
        struct sigaction action {};
        action.sa_flags = SA_RESTART;
        action.sa_handler = [](int signal) {
            const int before = errno;
            if (getpid() == owner_)
                tell(signal);
            else
                end_copy(signal);
            errno = before;
        };
        for (std::size_t i = 0; i < watched_signals.size(); ++i)
            os::check(sigaction(watched_signals[i], &action, &before_[i]), "sigaction", name_of(watched_signals[i]));
        caught_ = true;
    }
    void release_signals() {
        for (std::size_t i = 0; caught_ && i < watched_signals.size(); ++i)
            os::check(sigaction(watched_signals[i], &before_[i], nullptr), "sigaction", name_of(watched_signals[i]));
        caught_ = false;
    }

    /// From a handler, too. 0 only wakes the reader.
    static void tell(int signal) {
        const auto byte = static_cast<unsigned char>(signal);
        [[maybe_unused]] const ssize_t written = write(into_, &byte, 1);  // a full pipe has enough to say
    }
    /// The next signal; 0 when there is none before `limit`, or something changed.
    int wait(std::optional<std::chrono::milliseconds> limit) {
        pollfd waiting{reading_.get(), POLLIN, 0};
        (void)poll(&waiting, 1, limit ? static_cast<int>(std::clamp<long long>(limit->count(), 0, 1'000'000)) : -1);
        unsigned char byte = 0;
        return read(reading_.get(), &byte, 1) == 1 ? byte : 0;
    }

  private:
    // A process that the program's own fork made shares the pipe but none of the calls: the signal has its usual effect there.
    static void end_copy(int signal) {
        struct sigaction action {};
        action.sa_handler = SIG_DFL;
        (void)sigaction(signal, &action, nullptr);
        (void)raise(signal);  // comes when the handler returns
    }

    static inline std::atomic<int> into_{-1};
    static inline std::atomic<pid_t> owner_{0};
    os::UniqueFd reading_, writing_;
    std::array<struct sigaction, watched_signals.size()> before_{};
    bool caught_ = false;
};

// A signal that was not meant for us after all has the effect that it would have had.
void pass_on(int signal) { (void)kill(getpid(), signal); }

}  // namespace

// Of the process. Never destroyed: its thread sleeps in it until the process ends.
class Drain {
  public:
    static Drain& instance() {
        static Drain* const drain = new Drain;
        return *drain;
    }

    void enter(DrainGuard& guard) {
        const std::lock_guard one_by_one(entering_);
        const auto time = grace();
        std::unique_lock lock(mutex_);
        grace_ = time;
        const bool first = guards_.empty() && !drained_;
        if (first) start_thread();
        guards_.insert(&guard);
        if (first) {
            pipe_.catch_signals();
            lock.unlock();
            // A rank that did not know yet would die of a signal that all ranks get.
            if (Manager* manager = entry::manager_of_ranks()) manager->watch_signals(true);
            lock.lock();
        }
        if (guard.is_due()) drain_all(end_of_time);
        if (drained_) drain(guard);
        if (guard.until_) SignalPipe::tell(0);
    }

    void leave(DrainGuard& guard) {
        const std::lock_guard one_by_one(entering_);
        std::unique_lock lock(mutex_);
        guards_.erase(&guard);
        if (!guards_.empty() || drained_) return;
        pipe_.release_signals();
        lock.unlock();
        if (Manager* manager = entry::manager_of_ranks()) manager->watch_signals(false);
    }

    bool drained() {
        const std::lock_guard lock(mutex_);
        return drained_;
    }

    void watch_as_server(std::function<void(int)> heard) {
        const std::lock_guard lock(mutex_);
        heard_ = std::move(heard);
        pipe_.catch_signals();
        start_thread();
    }
    void release_as_server() {
        const std::lock_guard lock(mutex_);
        pipe_.release_signals();
        heard_ = nullptr;
    }
    void ignore_as_server() {
        const std::lock_guard lock(mutex_);
        if (heard_) heard_ = [](int) {};
    }

  private:
    void start_thread() {
        if (std::exchange(started_, true)) return;
        const os::BlockedSignals blocked;
        std::thread([this] { watch(); }).detach();
    }

    void watch() {
        for (;;) {
            const int signal = pipe_.wait(limit());
            std::unique_lock lock(mutex_);
            if (signal != 0 && heard_) {
                heard_(signal);
            } else if (signal != 0 && (drained_ ? Clock::now() > give_up_at_ : guards_.empty())) {
                pipe_.release_signals();
                lock.unlock();
                pass_on(signal);
                continue;
            } else if (signal != 0) {
                drain_all(name_of(signal));
            }
            if (std::any_of(guards_.begin(), guards_.end(), [](const auto* guard) { return guard->is_due(); })) drain_all(end_of_time);
            if (!drained_ || Clock::now() < give_up_at_ || std::exchange(gave_up_, true)) continue;
            std::vector<std::shared_ptr<Drainable>> calls;
            for (const auto* guard : guards_) calls.push_back(guard->call_.lock());
            lock.unlock();
            for (const auto& call : calls)
                if (call) call->give_up();
        }
    }

    // Until something is to be done without a signal.
    std::optional<std::chrono::milliseconds> limit() {
        using std::chrono::milliseconds;
        const std::lock_guard lock(mutex_);
        std::optional<milliseconds> least;
        const auto consider = [&](auto left) {
            const milliseconds rounded = std::chrono::ceil<milliseconds>(left);
            least = least ? std::min(*least, rounded) : rounded;
        };
        if (drained_ && !gave_up_) consider(give_up_at_ - Clock::now());
        if (!drained_)
            for (const auto* guard : guards_)
                if (guard->until_) consider(*guard->until_ - std::chrono::system_clock::now());
        return least;
    }

    void drain_all(const std::string& why) {
        if (std::exchange(drained_, true)) return;
        why_ = why;
        give_up_at_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(grace_);
        for (const auto* guard : guards_) drain(*guard);
    }

    void drain(const DrainGuard& guard) {
        if (const auto call = guard.call_.lock()) call->drain(why_);
    }

    std::mutex entering_;  // held while calls come and go; before mutex_
    std::mutex mutex_;
    SignalPipe pipe_;
    std::set<DrainGuard*> guards_;
    std::chrono::duration<double> grace_{0};
    bool started_ = false, drained_ = false, gave_up_ = false;
    std::string why_;
    Clock::time_point give_up_at_{};
    std::function<void(int)> heard_;
};

DrainGuard::DrainGuard(std::weak_ptr<Drainable> call, std::optional<Time> until)
    : call_(std::move(call)), until_(until) {
    Drain::instance().enter(*this);
}
DrainGuard::~DrainGuard() { Drain::instance().leave(*this); }

bool drained() { return Drain::instance().drained(); }
void note_signal(int signal) { SignalPipe::tell(signal); }
void watch_signals_of_server(std::function<void(int)> heard) { Drain::instance().watch_as_server(std::move(heard)); }
void release_signals_of_server() { Drain::instance().release_as_server(); }
void ignore_signals_of_server() { Drain::instance().ignore_as_server(); }

}  // namespace rankpool::pool
