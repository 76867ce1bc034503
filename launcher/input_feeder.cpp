#include "input_feeder.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "os/failure.hpp"
#include "os/memory.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

// Standard input, which can be looked at.
class Source {
  public:
    Source() {
        struct stat status {};
        os::check(fstat(STDIN_FILENO, &status), "fstat", "standard input");
        if (S_ISREG(status.st_mode))
            kind_ = Kind::file;
        else if (S_ISSOCK(status.st_mode))
            kind_ = Kind::socket;
        else if (S_ISFIFO(status.st_mode))
            kind_ = Kind::pipe;
        if (kind_ != Kind::pipe) return;
        int ends[2];
        os::check(pipe2(ends, O_CLOEXEC), "pipe2");
        copy_out_.reset(ends[0]);
        copy_in_.reset(ends[1]);
        nowhere_.reset(os::check(open("/dev/null", O_WRONLY | O_CLOEXEC), "open", "/dev/null"));
    }

    /// In the background a terminal is the shell's.
    bool readable() const {
        return kind_ != Kind::device || isatty(STDIN_FILENO) == 0 || tcgetpgrp(STDIN_FILENO) == getpgrp();
    }

    /// Up to a page of what comes next, once poll has said that there is something: again and again the same, until it
    /// is taken; from a device it is taken at once. An empty page at the end; none when somebody else was quicker.
    std::optional<std::string> look() {
        std::string page(os::page_size(), '\0');
        const ssize_t got = os::retry_interrupted([&]() -> ssize_t {
            switch (kind_) {
                case Kind::file:
                    return pread(STDIN_FILENO, page.data(), page.size(), lseek(STDIN_FILENO, 0, SEEK_CUR));
                case Kind::socket:
                    return recv(STDIN_FILENO, page.data(), page.size(), MSG_PEEK | MSG_DONTWAIT);
                case Kind::pipe: {
                    const ssize_t copied = tee(STDIN_FILENO, copy_in_.get(), page.size(), SPLICE_F_NONBLOCK);
                    return copied <= 0 ? copied : read(copy_out_.get(), page.data(), static_cast<std::size_t>(copied));
                }
                case Kind::device:
                    break;
            }
            return read(STDIN_FILENO, page.data(), page.size());
        });
        if (got < 0 && errno == EAGAIN) return std::nullopt;
        if (got < 0 && errno != EIO) os::fail("read", "standard input");  // EIO: the terminal has gone
        page.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        return page;
    }

    void take(std::size_t bytes) {
        if (kind_ == Kind::device || bytes == 0) return;
        if (kind_ == Kind::file) {
            os::check(lseek(STDIN_FILENO, static_cast<off_t>(bytes), SEEK_CUR), "lseek", "standard input");
            return;
        }
        std::string dropped(kind_ == Kind::socket ? bytes : 0, '\0');
        while (bytes > 0) {
            const ssize_t got = os::retry_interrupted([&] {
                return kind_ == Kind::socket
                           ? recv(STDIN_FILENO, dropped.data(), bytes, MSG_DONTWAIT)
                           : splice(STDIN_FILENO, nullptr, nowhere_.get(), nullptr, bytes, SPLICE_F_NONBLOCK);
            });
            if (got <= 0) return;  // somebody else has taken it
            bytes -= static_cast<std::size_t>(got);
        }
    }

  private:
    enum class Kind { file, pipe, socket, device } kind_ = Kind::device;
    os::UniqueFd copy_in_, copy_out_, nowhere_;
};

class Feeder {
  public:
    Feeder(std::vector<os::UniqueFd> pipes, int ending) : ending_(ending) {
        for (os::UniqueFd& pipe : pipes) ranks_.push_back({std::move(pipe)});
    }

    int run() {
        while (wait()) {
            take_what_was_read();
            if (look_) add(source_.look());
            for (Rank& rank : ranks_) offer(rank);
            forget();
        }
        take_what_was_read();
        return 0;
    }

  private:
    // Positions are counted from where standard input stood at the start.
    struct Rank {
        os::UniqueFd pipe;          // for writing; at the end for reading, so that it can still be asked what is unread
        std::uint64_t offered = 0;  // everything before was written into the pipe
        bool full = false;
        bool at_end = false;  // it was told that nothing more comes, or has closed its standard input
    };

    std::uint64_t known() const { return begin_ + text_.size(); }

    // False when the job is over.
    bool wait() {
        const bool hungry = !ended_ && std::any_of(ranks_.begin(), ranks_.end(),
                                                   [&](const Rank& rank) { return !rank.at_end && !rank.full; });
        const bool readable = hungry && source_.readable();
        std::vector<pollfd> events{{ending_, POLLIN, 0}, {readable ? STDIN_FILENO : -1, POLLIN, 0}};
        for (const Rank& rank : ranks_)
            events.push_back({rank.full && !rank.at_end ? rank.pipe.get() : -1, POLLOUT, 0});
        const int limit = hungry && !readable ? 200 : -1;  // coming to the foreground is not told
        os::check(os::retry_interrupted([&] { return poll(events.data(), events.size(), limit); }), "poll",
                  "standard input");
        look_ = events[1].revents != 0;
        for (std::size_t i = 0; i < ranks_.size(); ++i) {
            if ((events[i + 2].revents & POLLERR) != 0) ranks_[i].at_end = true;  // nobody can read it any more
            if (events[i + 2].revents != 0) ranks_[i].full = false;
        }
        return events[0].revents == 0;
    }

    void add(const std::optional<std::string>& page) {
        if (!page) return;
        text_ += *page;
        ended_ = page->empty();
    }

    void offer(Rank& rank) {
        if (rank.at_end || rank.full) return;
        const std::string_view rest =
            std::string_view(text_).substr(static_cast<std::size_t>(rank.offered - begin_), os::page_size());
        if (rest.empty() && !ended_) return;
        if (rest.empty()) {
            const std::string name = "/proc/self/fd/" + std::to_string(rank.pipe.get());
            rank.pipe.reset(open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
            rank.at_end = true;
            return;
        }
        const ssize_t written = write(rank.pipe.get(), rest.data(), rest.size());
        if (written > 0) rank.offered += static_cast<std::uint64_t>(written);
        rank.full = written > 0 || errno == EAGAIN;
        rank.at_end = !rank.full;
    }

    void forget() {
        std::uint64_t needed = known();
        for (const Rank& rank : ranks_)
            if (!rank.at_end) needed = std::min(needed, rank.offered);
        // What is kept is moved: only when that is less than what goes.
        if (needed - begin_ < known() - needed) return;
        text_.erase(0, static_cast<std::size_t>(needed - begin_));
        begin_ = needed;
    }

    void take_what_was_read() {
        std::uint64_t read = taken_;
        for (const Rank& rank : ranks_) {
            int unread = 0;
            if (rank.pipe && ioctl(rank.pipe.get(), FIONREAD, &unread) == 0)
                read = std::max(read, rank.offered - static_cast<std::uint64_t>(unread));
        }
        source_.take(static_cast<std::size_t>(read - taken_));
        taken_ = read;
    }

    Source source_;
    std::vector<Rank> ranks_;
    int ending_;
    std::string text_;         // what is known and not forgotten
    std::uint64_t begin_ = 0;  // where it begins
    std::uint64_t taken_ = 0;  // from standard input
    bool ended_ = false, look_ = false;
};

}  // namespace

int feed(std::vector<os::UniqueFd> pipes, int ending) { return Feeder(std::move(pipes), ending).run(); }

}  // namespace rankrun
