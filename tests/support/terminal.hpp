// A program at a terminal, as a user has it: a pseudo-terminal whose session leader starts it in the foreground and,
// like a shell, takes the terminal back when it stops.
//
//     Terminal terminal({RANKRUN, "-n", "2", PROGRAM});
//     ASSERT_TRUE(terminal.shows("ready"));
//     terminal.type(Terminal::ctrl_z);
//     EXPECT_TRUE(terminal.stopped());
//     terminal.foreground();
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

class Terminal {
  public:
    static constexpr std::string_view ctrl_c = "\x03", ctrl_z = "\x1a", ctrl_d = "\x04";

    explicit Terminal(const std::vector<std::string>& command);
    ~Terminal();  // hangs up
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    /// The program's process.
    pid_t program() const { return program_; }
    void type(std::string_view keys);
    /// Waits until the text has appeared; false when it has not after 20 seconds. Looks at what came since the last
    /// one.
    bool shows(const std::string& text);
    /// Waits until the shell sees the program stop; false when it has ended, or does neither for 20 seconds.
    bool stopped();
    /// What `fg` does.
    void foreground();
    /// Waits for the program's end: its exit code, 128 + N when a signal N ended it. Empty after 20 seconds.
    std::optional<int> ended();
    /// Closes the terminal's other end, as a window that is closed does.
    void hang_up();

    const std::string& seen() const { return seen_; }

  private:
    // What the shell tells: 's' and the program's pid at the start, 't' it has stopped, 'e' and its exit code.
    struct Event {
        char what = 0;
        int value = 0;
    };
    std::optional<Event> next_event();
    void read_screen();

    int screen_ = -1, events_ = -1, orders_ = -1;
    pid_t shell_ = -1, program_ = -1;
    std::string seen_;
    std::size_t looked_at_ = 0;
};
