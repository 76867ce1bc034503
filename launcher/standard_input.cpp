#include "standard_input.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "helper_process.hpp"
#include "input_feeder.hpp"
#include "os/failure.hpp"
#include "os/memory.hpp"

namespace rankrun {

namespace os = rankpool::os;

StandardInput::StandardInput(const Options& options, pid_t front_group)
    : input_(options.input),
      terminal_group_(isatty(STDIN_FILENO) == 1 ? front_group : 0),
      nothing_(os::check(open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null")) {
    if (input_.to != Input::To::all) return;
    std::vector<os::UniqueFd> pipes;
    std::vector<int> kept;
    for (int rank = 0; rank < options.ranks(); ++rank) {
        int ends[2];
        os::check(pipe2(ends, O_CLOEXEC), "pipe2", "a rank's standard input");
        ranks_ends_.emplace_back(ends[0]);
        pipes.emplace_back(ends[1]);
        os::check(fcntl(ends[1], F_SETFL, O_NONBLOCK), "fcntl(O_NONBLOCK)",
                  "a rank's standard input");  // this end only
        // One page, which is one piece: it has room again when the rank has read the whole of it.
        os::check(fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(os::page_size())), "fcntl(F_SETPIPE_SZ)",
                  "a rank's standard input");
        kept.push_back(ends[1]);
    }
    int ends[2];
    os::check(pipe2(ends, O_CLOEXEC), "pipe2");
    os::UniqueFd end(ends[0]);
    ending_.reset(ends[1]);
    kept.push_back(end.get());
    feeder_ = start_helper("rank-input", kept, terminal_group_, [&] { return feed(std::move(pipes), end.get()); });
}

int StandardInput::of(int rank) const {
    if (input_.to == Input::To::all) return ranks_ends_[static_cast<std::size_t>(rank)].get();
    return input_.to == Input::To::rank && input_.rank == rank ? -1 : nothing_.get();
}

pid_t StandardInput::group_of(int rank) const { return of(rank) == -1 ? terminal_group_ : 0; }

}  // namespace rankrun
