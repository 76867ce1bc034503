// What the tests of real launches share: the launchers, the probe programs, and a look at a running job from outside.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "support/subprocess.hpp"
#include "support/temporary_directory.hpp"

namespace launches {

using Words = std::vector<std::string>;

/// Launchers by name: "alone", "rankrun", and the MPIs that this build has a module for.
Words all();
Words rankrun_and_mpis();
Words mpis();

/// The command that starts `command` as `ranks` ranks. Alone: as it is.
Words start(const std::string& launcher, int ranks, const Words& command);

/// Runs rankrun with these words, to its end: it ends in time and leaves nothing.
subprocess::Result rankrun(Words words, const subprocess::Options& options = {});
/// Expects one line on standard error that begins with `beginning`, and `word` in it.
void expect_one_line(const subprocess::Result& result, const std::string& beginning, const std::string& word);

/// Its way to run; "alone" is one rank whatever was asked for.
int ranks_under(const std::string& launcher, int ranks);

/// The probe programs; each says in its first comment what it prints.
struct Programs {
    std::string rankrun, ranks, ranks_other_build, workers, endings, signals, streams, long_tasks;
};
const Programs& programs();

/// A temporary directory for shell scripts and for the files by which programs and tests meet.
class ScriptDirectory : public TemporaryDirectory {
  public:
    ScriptDirectory() {}  // written out: a constant of the type needs it
    std::string path(const std::string& name) const { return (TemporaryDirectory::path() / name).string(); }
    std::string text() const { return TemporaryDirectory::path().string(); }
    /// Makes a shell script and returns its path.
    std::string script(const std::string& name, const std::string& body) const;
};

/// For scripts: this rank's number, under every launcher.
inline constexpr const char* rank_in_shell = "${RANK:-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}}";

/// Sorted lines of `text`, the empty ones left out.
Words sorted_lines(const std::string& text);
/// Lines that begin with `beginning`.
Words lines_from(const std::string& text, std::string_view beginning);
/// "rank 0 of n" to "rank n-1 of n", sorted.
Words all_ranks(int n);

/// The process of rankrun that minds the ranks, and a rank, that is: the process that a launcher started as such. Wait
/// until it is there; throw when it does not come.
pid_t minder_of(pid_t rankrun);
/// A child of the process, by its name.
pid_t child_of(pid_t parent, const std::string& name);
pid_t rank_of(pid_t launcher, int rank);
/// kill(2), for one process that exists: a 0 would mean the test's own group.
void send(pid_t process, int signal);
/// The state letter in /proc: 'T' stopped, 'Z' zombie; '-' when there is no such process.
char state_of(pid_t pid);
/// Looks again and again; false when it is not true after 20 seconds.
bool comes_true(const std::function<bool()>& condition);

/// A named pipe by which a process tells the test that something has happened.
class Bell {
  public:
    explicit Bell(const std::string& path);
    ~Bell();
    Bell(const Bell&) = delete;
    Bell& operator=(const Bell&) = delete;

    /// Waits for the next ring; false after 20 seconds without one.
    bool heard();

  private:
    int fd_ = -1;
};

}  // namespace launches
