// MapOptions::progress: a bar on a terminal, nothing of a short call elsewhere.
#include <gtest/gtest.h>

#include "launch/launches.hpp"
#include "support/door.hpp"
#include "support/terminal.hpp"

namespace {

using namespace launches;

class Progress : public testing::Test {
  protected:
    // `columns` wide.
    Words on_terminal(int columns, Words more = {}) const {
        Words words{"sh", "-c", "stty cols " + std::to_string(columns) + "; exec \"$@\"", "sh", RANKPOOL_TEST_PROGRESS, door_};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    // What was drawn, each time.
    static Words drawn(const std::string& seen) {
        Words all;
        for (std::size_t at = 0; (at = seen.find("\x1b[K", at)) != std::string::npos; ++at) {
            const std::size_t begin = seen.rfind('\r', at);
            if (begin != std::string::npos) all.push_back(seen.substr(begin + 1, at - begin - 1));
        }
        return all;
    }

    const ScriptDirectory directory_;
    const std::string door_ = directory_.path("door");
};

TEST_F(Progress, IsABarOnATerminal) {
    Terminal terminal(on_terminal(80));
    ASSERT_TRUE(terminal.shows(" 95% |")) << terminal.seen();
    ASSERT_TRUE(terminal.shows("| 19/20 ")) << terminal.seen();
    ASSERT_TRUE(terminal.shows(" left")) << terminal.seen();
    door::open_for_all(door_);
    ASSERT_TRUE(terminal.shows("100% |")) << terminal.seen();
    ASSERT_TRUE(terminal.shows("| 20/20 ")) << terminal.seen();
    // The program's own output begins on a line of its own.
    ASSERT_TRUE(terminal.shows("\nsum 190")) << terminal.seen();
    EXPECT_EQ(terminal.ended(), 0);
    EXPECT_FALSE(drawn(terminal.seen()).empty());
    for (const std::string& bar : drawn(terminal.seen())) EXPECT_LT(bar.size(), 80u) << bar;
}

TEST_F(Progress, FitsANarrowTerminal) {
    Terminal terminal(on_terminal(20));
    ASSERT_TRUE(terminal.shows("95% 19/20")) << terminal.seen();
    door::open_for_all(door_);
    EXPECT_EQ(terminal.ended(), 0);
    EXPECT_FALSE(drawn(terminal.seen()).empty());
    for (const std::string& bar : drawn(terminal.seen())) EXPECT_LT(bar.size(), 20u) << bar;
}

TEST_F(Progress, EndsItsLineWhenTheCallFails) {
    Terminal terminal(on_terminal(80, {"throw"}));
    ASSERT_TRUE(terminal.shows("19/20")) << terminal.seen();
    door::open_for_all(door_);
    ASSERT_TRUE(terminal.shows("\ncaught first")) << terminal.seen();
    EXPECT_EQ(terminal.ended(), 0);
}

TEST_F(Progress, OfAShortCallIsNotShownElsewhere) {
    door::open_for_all(door_);
    const auto result = subprocess::run({RANKPOOL_TEST_PROGRESS, door_});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "sum 190\n");
    EXPECT_EQ(result.err, "");
}

}  // namespace
