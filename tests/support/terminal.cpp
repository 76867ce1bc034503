#include "support/terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <stdexcept>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{20};

struct Message {
    char what;
    int value;
};

void tell(int events, char what, int value) {
    const Message message{what, value};
    (void)!write(events, &message, sizeof message);
}

// The session leader: what a shell does for one command.
[[noreturn]] void be_the_shell(int terminal, int events, int orders, const std::vector<std::string>& command) {
    setsid();
    if (ioctl(terminal, TIOCSCTTY, 0) != 0) _exit(9);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(terminal, stream);
    signal(SIGTTOU, SIG_IGN);  // a shell gives the terminal away from the background
    const pid_t program = fork();
    if (program == 0) {
        setpgid(0, 0);
        tcsetpgrp(STDIN_FILENO, getpid());
        signal(SIGTTOU, SIG_DFL);
        std::vector<char*> argv;
        for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    setpgid(program, program);
    tcsetpgrp(STDIN_FILENO, program);
    tell(events, 's', program);
    for (;;) {
        int status = 0;
        if (waitpid(program, &status, WUNTRACED) != program) _exit(9);
        if (!WIFSTOPPED(status)) {
            tell(events, 'e', WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
            _exit(0);
        }
        tcsetpgrp(STDIN_FILENO, getpgrp());
        tell(events, 't', WSTOPSIG(status));
        char order;
        if (read(orders, &order, 1) != 1) _exit(0);
        tcsetpgrp(STDIN_FILENO, program);
        kill(-program, SIGCONT);
    }
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& command) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int terminal = -1, events[2], orders[2];
    if (openpty(&screen_, &terminal, nullptr, nullptr, nullptr) != 0 || pipe2(events, O_CLOEXEC) != 0 ||
        pipe2(orders, O_CLOEXEC) != 0)
        throw std::runtime_error("no pseudo-terminal");
    for (const int descriptor : {screen_, terminal}) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    shell_ = fork();
    if (shell_ < 0) throw std::runtime_error("fork failed");
    if (shell_ == 0) {
        close(screen_);
        close(events[0]);
        close(orders[1]);
        be_the_shell(terminal, events[1], orders[0], command);
    }
    close(terminal);
    close(events[1]);
    close(orders[0]);
    events_ = events[0];
    orders_ = orders[1];
    const auto started = next_event();
    if (!started || started->what != 's') throw std::runtime_error("the shell does not start its program");
    program_ = started->value;
}

Terminal::~Terminal() {
    hang_up();
    close(events_);
    close(orders_);
    kill(shell_, SIGKILL);
    waitpid(shell_, nullptr, 0);
}

void Terminal::type(std::string_view keys) {
    if (write(screen_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size()))
        throw std::runtime_error("typing failed");
}

void Terminal::foreground() {
    if (write(orders_, "f", 1) != 1) throw std::runtime_error("the shell is gone");
}

void Terminal::hang_up() {
    if (screen_ >= 0) close(screen_);
    screen_ = -1;
}

void Terminal::read_screen() {
    char text[4096];
    const ssize_t got = read(screen_, text, sizeof text);
    if (got > 0) seen_.append(text, static_cast<std::size_t>(got));
}

bool Terminal::shows(const std::string& text) {
    const auto end = Clock::now() + patience;
    for (;;) {
        if (const auto at = seen_.find(text, looked_at_); at != std::string::npos) {
            looked_at_ = at + text.size();
            return true;
        }
        if (Clock::now() > end) return false;
        pollfd event{screen_, POLLIN, 0};
        if (poll(&event, 1, 100) == 1) read_screen();
    }
}

std::optional<Terminal::Event> Terminal::next_event() {
    const auto end = Clock::now() + patience;
    while (Clock::now() < end) {  // and what is shown is read meanwhile: nobody must wait for room on the screen
        pollfd events[] = {{events_, POLLIN, 0}, {screen_, POLLIN, 0}};
        if (poll(events, 2, 100) <= 0) continue;
        if ((events[1].revents & POLLIN) != 0) {
            read_screen();
        } else if (events[0].revents != 0) {
            Message message{};
            if (read(events_, &message, sizeof message) != sizeof message) return std::nullopt;
            return Event{message.what, message.value};
        }
    }
    return std::nullopt;
}

bool Terminal::stopped() {
    const auto event = next_event();
    return event && event->what == 't';
}

std::optional<int> Terminal::ended() {
    const auto event = next_event();
    if (!event || event->what != 'e') return std::nullopt;
    return event->value;
}
