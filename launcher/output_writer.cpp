#include "output_writer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <string>

#include "labelled_lines.hpp"
#include "os/failure.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

// What a pipe holds at most, unless a rank changed that: one look takes all that was written before it.
constexpr std::size_t pipe_bytes = 64 * 1024;
// Of lines that are not complete yet, together. The longest of them is broken when there is more.
constexpr std::size_t most_held = std::size_t{256} << 20;

// Somewhere lines go.
struct Target {
    std::string pending;
    bool closed = false;
};

class Writer {
  public:
    Writer(std::vector<WriterSource> sources, os::UniqueFd messages, bool timestamp) : messages_(std::move(messages)) {
        for (WriterSource& source : sources) {
            targets_[source.target];
            sources_.push_back({std::move(source.pipe), LabelledLines(source.rank, timestamp), source.target});
        }
    }

    int run() {
        while (!sources_.empty() || messages_) {
            wait();
            // The messages first, but they are written last: they may speak of the end of a rank, whose output comes
            // before.
            std::string messages;
            if (messages_ && !take(messages_.get(), messages)) messages_.reset();
            for (std::size_t i = 0; i < sources_.size(); ++i) {
                if (events_[i].revents != 0 || !messages.empty()) read(sources_[i]);
                if (!messages.empty() && sources_[i].pipe) read(sources_[i]);  // and that it has ended
            }
            break_longest();
            for (auto& [descriptor, target] : targets_) write(descriptor, target);
            Target said{std::move(messages)};
            write(STDERR_FILENO, said);
            std::erase_if(sources_,
                          [&](const Source& source) { return !source.pipe || targets_[source.target].closed; });
        }
        return failed_ ? 1 : 0;
    }

  private:
    struct Source {
        os::UniqueFd pipe;
        LabelledLines lines;
        int target;
    };

    void wait() {
        events_.clear();
        for (const Source& source : sources_) events_.push_back({source.pipe.get(), POLLIN, 0});
        if (messages_) events_.push_back({messages_.get(), POLLIN, 0});
        os::check(os::retry_interrupted([&] { return poll(events_.data(), events_.size(), -1); }), "poll",
                  "the ranks' output");
    }

    // Appends what has come; false when nothing will come any more.
    bool take(int descriptor, std::string& text) {
        const ssize_t got = os::retry_interrupted([&] { return ::read(descriptor, buffer_.data(), buffer_.size()); });
        if (got < 0 && errno != EAGAIN) os::fail("read", "a rank's output");
        if (got > 0) text.append(buffer_.data(), static_cast<std::size_t>(got));
        return got != 0;
    }

    void read(Source& source) {
        piece_.clear();
        const bool more = take(source.pipe.get(), piece_);
        std::string& out = targets_[source.target].pending;
        source.lines.take(piece_, out);
        if (more) return;
        source.lines.end_line(out);  // its last words, without a newline
        source.pipe.reset();
    }

    void break_longest() {
        for (;;) {
            std::size_t held = 0;
            Source* longest = nullptr;
            for (Source& source : sources_) {
                held += source.lines.held();
                if (longest == nullptr || source.lines.held() > longest->lines.held()) longest = &source;
            }
            if (held <= most_held) return;
            longest->lines.end_line(targets_[longest->target].pending);
        }
    }

    void write(int descriptor, Target& target) {
        std::string_view rest = target.closed ? std::string_view() : target.pending;
        while (!rest.empty()) {
            const ssize_t written = ::write(descriptor, rest.data(), rest.size());
            if (written >= 0) {
                rest.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno == EAGAIN) {  // somebody outside set its descriptor so
                pollfd room{descriptor, POLLOUT, 0};
                (void)poll(&room, 1, -1);
            } else if (errno != EINTR) {
                target.closed = true;
                if (errno == EPIPE) break;  // its reader wants no more
                failed_ = true;
                std::fprintf(stderr, "rankrun: %s\n", os::failure_text("write", "the ranks' output", errno).c_str());
                break;
            }
        }
        target.pending.clear();
        if (target.pending.capacity() > 16 * pipe_bytes) target.pending.shrink_to_fit();
    }

    os::UniqueFd messages_;
    std::vector<Source> sources_;
    std::map<int, Target> targets_;  // by descriptor
    std::vector<pollfd> events_;
    std::string piece_;
    std::string buffer_ = std::string(pipe_bytes, '\0');
    bool failed_ = false;
};

}  // namespace

int write_output(std::vector<WriterSource> sources, os::UniqueFd messages, bool timestamp) {
    return Writer(std::move(sources), std::move(messages), timestamp).run();
}

}  // namespace rankrun
