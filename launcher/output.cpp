#include "output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include <rankpool/error.hpp>
#include "helper_process.hpp"
#include "os/failure.hpp"
#include "output_writer.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

// DIR/rank.N/stdout and stderr, by rank.
std::vector<std::pair<os::UniqueFd, os::UniqueFd>> open_files(const std::string& directory, int ranks, bool again) {
    std::vector<std::pair<os::UniqueFd, os::UniqueFd>> files;
    const auto open_file = [&](const std::string& path) {
        // Appended to: a rank's children, and a job started again, write behind what is there.
        return os::UniqueFd(os::check(
            open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (again ? 0 : O_TRUNC), 0666), "open", path));
    };
    for (int rank = 0; rank < ranks; ++rank) {
        const std::string place = directory + "/rank." + std::to_string(rank);
        std::error_code error;
        std::filesystem::create_directories(place, error);
        if (error)
            throw rankpool::Error(os::failure_text("mkdir", place, error.value()) + "; choose another --output-dir");
        files.emplace_back(open_file(place + "/stdout"), open_file(place + "/stderr"));
    }
    return files;
}

struct Pipe {
    os::UniqueFd reading, writing;

    Pipe() {
        int ends[2];
        os::check(pipe2(ends, O_CLOEXEC), "pipe2", "a rank's output");
        reading.reset(ends[0]);
        writing.reset(ends[1]);
        os::check(fcntl(reading.get(), F_SETFL, O_NONBLOCK), "fcntl(O_NONBLOCK)", "a rank's output");  // this end only
    }
};

}  // namespace

Output::Output(const Options& options, bool again) {
    std::vector<Pair> files;
    if (!options.output_directory.empty()) files = open_files(options.output_directory, options.ranks(), again);
    if (options.labelled())
        start_writer(options, std::move(files));
    else
        ranks_ends_ = std::move(files);
}

Output::~Output() { close(); }

void Output::start_writer(const Options& options, std::vector<Pair> files) {
    std::vector<WriterSource> sources;
    std::vector<int> kept;
    Pipe messages;
    for (int rank = 0; rank < options.ranks(); ++rank) {
        Pipe out, err;
        const bool to_files = !files.empty();
        sources.push_back({std::move(out.reading), rank,
                           to_files ? files[static_cast<std::size_t>(rank)].first.get() : STDOUT_FILENO});
        sources.push_back({std::move(err.reading), rank,
                           to_files ? files[static_cast<std::size_t>(rank)].second.get() : STDERR_FILENO});
        ranks_ends_.emplace_back(std::move(out.writing), std::move(err.writing));
    }
    for (const WriterSource& source : sources) kept.insert(kept.end(), {source.pipe.get(), source.target});
    kept.push_back(messages.reading.get());
    writer_ = start_helper("rank-output", kept, 0, [&] {
        return write_output(std::move(sources), std::move(messages.reading), options.timestamp);
    });
    std::fflush(stderr);
    own_error_.reset(os::check(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "fcntl(F_DUPFD_CLOEXEC)", "standard error"));
    os::check(dup2(messages.writing.get(), STDERR_FILENO), "dup2", "standard error");
}

Output::Streams Output::of(int rank) const {
    if (ranks_ends_.empty()) return {};
    const auto& [out, err] = ranks_ends_[static_cast<std::size_t>(rank)];
    return {out.get(), err.get()};
}

void Output::close() {
    ranks_ends_.clear();
    if (!own_error_) return;
    std::fflush(stderr);
    (void)dup2(own_error_.get(), STDERR_FILENO);
    own_error_.reset();
}

bool Output::writer_ended(int status) {
    writer_ = 0;
    close();  // what the minder has to say is said directly now
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace rankrun
