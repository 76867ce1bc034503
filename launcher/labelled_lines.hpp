// One rank's output as lines that begin with its label.
//
// A line is passed on when it is complete, whatever the pieces in which it came, so that lines of several ranks can be
// written one after the other and none is torn.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rankrun {

class LabelledLines {
  public:
    /// `timestamp`: the time at which a line began follows the label.
    LabelledLines(int rank, bool timestamp);

    /// Appends to `out` the lines that `text` completes and keeps what follows them.
    void take(std::string_view text, std::string& out);
    /// Appends the begun line, if there is one, and ends it: nothing more comes, or it is too long to be kept.
    void end_line(std::string& out);
    /// Bytes that are kept.
    std::size_t held() const { return held_.size(); }

  private:
    void begin_line(std::string& line) const;

    std::string label_;
    bool timestamp_;
    std::string held_;  // the begun line with its label; empty between lines
};

}  // namespace rankrun
