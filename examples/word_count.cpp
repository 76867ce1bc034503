// Counts the words of all regular files below some directories: one file an item, the counts merged at the end.
//
//     word_count [--serial] [DIR...]    DIR: /usr/share/common-licenses and /usr/share/doc when none is given
//
//     ./word_count                      alone: a worker process for every usable CPU
//     rankrun -n 4 ./word_count         workers on four ranks of this machine
//     mpirun -n 4 ./word_count          the same over MPI; the files are read where the workers are
//     ./word_count --serial             in this process, without a pool
//
// All of them print the same. A word is a run of ASCII letters, in lower case. Symbolic links are not followed. What
// cannot be read is named on stderr and skipped, and so is a file whose task takes its worker process down: that costs
// this file and nothing else.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using Counts = std::unordered_map<std::string, std::uint64_t>;

/// What a task sends back. A plain struct of types that can travel needs nothing else to travel itself.
struct FileCounts {
    std::vector<std::pair<std::string, std::uint64_t>> words;
    std::string error;  // why the file could not be read; empty when it was
};

std::string last_error() { return std::error_code(errno, std::generic_category()).message(); }

/// The task: runs in a worker. A file that cannot be read is an ordinary result here, not an error.
FileCounts count_words(const std::string& path) try {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) return {{}, last_error()};

    Counts counts;
    std::string word;
    const auto end_word = [&] {
        if (word.empty()) return;
        ++counts[word];
        word.clear();
    };
    std::array<char, 65536> block;
    while (file.read(block.data(), block.size()) || file.gcount() > 0) {
        for (const char c : std::span(block).first(static_cast<std::size_t>(file.gcount()))) {
            if (c >= 'a' && c <= 'z')
                word += c;
            else if (c >= 'A' && c <= 'Z')
                word += static_cast<char>(c - 'A' + 'a');
            else
                end_word();
        }
    }
    if (file.bad()) return {{}, last_error()};
    end_word();
    return {{counts.begin(), counts.end()}, {}};
} catch (const std::exception& error) {
    return {{}, error.what()};
}

void say_skipped(const std::string& path, std::string_view why) {
    std::cerr << "word_count: " << path << ": " << why << "; skipped\n";
}

void add_files_below(const std::filesystem::path& directory, std::vector<std::string>& files) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; entry != end; entry.increment(error)) {
        std::error_code unknown;
        const auto type = entry->symlink_status(unknown).type();
        if (type == std::filesystem::file_type::directory)
            add_files_below(entry->path(), files);
        else if (type == std::filesystem::file_type::regular)
            files.push_back(entry->path().string());
    }
    if (error) say_skipped(directory.string(), error.message());
}

/// The counts of each file, in the order of `files`. A file whose task ended its worker has its error, as one that cannot
/// be read has.
std::vector<FileCounts> count_with_pool(const std::vector<std::string>& files) {
    rankpool::Pool pool;
    std::vector<FileCounts> results;
    results.reserve(files.size());
    for (auto& outcome : pool.map_outcomes(count_words, files)) {
        try {
            results.push_back(std::move(outcome.value()));
        } catch (const rankpool::WorkerLost& lost) {
            results.push_back({{}, lost.what()});
        }
    }
    return results;
}

std::vector<FileCounts> count_serially(const std::vector<std::string>& files) {
    std::vector<FileCounts> results;
    for (const std::string& file : files) results.push_back(count_words(file));
    return results;
}

void print_report(const Counts& totals, std::size_t files) {
    std::vector<std::pair<std::string, std::uint64_t>> ranking(totals.begin(), totals.end());
    const std::size_t shown = std::min<std::size_t>(20, ranking.size());
    std::partial_sort(ranking.begin(), ranking.begin() + static_cast<std::ptrdiff_t>(shown), ranking.end(),
                      [](const auto& a, const auto& b) {
                          return a.second != b.second ? a.second > b.second : a.first < b.first;  // ties: by alphabet
                      });
    std::uint64_t words = 0;
    for (const auto& [word, count] : totals) words += count;

    for (const auto& [word, count] : std::span(ranking).first(shown))
        std::cout << std::setw(12) << count << "  " << word << '\n';
    std::cout << "files: " << files << "\nwords: " << words << "\ndistinct words: " << totals.size() << '\n';
}

int word_count(std::span<char*> arguments) {
    bool serial = false;
    std::vector<std::string> directories;
    for (const std::string_view argument : arguments) {
        if (argument == "--serial") {
            serial = true;
        } else if (argument.starts_with('-')) {
            std::cerr << "usage: word_count [--serial] [DIR...]\n";
            return 2;
        } else {
            directories.emplace_back(argument);
        }
    }
    if (directories.empty()) directories = {"/usr/share/common-licenses", "/usr/share/doc"};

    std::vector<std::string> files;
    for (const std::string& directory : directories) add_files_below(directory, files);
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());  // a directory may be named twice

    const std::vector<FileCounts> results = serial ? count_serially(files) : count_with_pool(files);

    Counts totals;
    std::size_t counted = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (!results[i].error.empty()) {
            say_skipped(files[i], results[i].error);
            continue;
        }
        ++counted;
        for (const auto& [word, count] : results[i].words) totals[word] += count;
    }
    print_report(totals, counted);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // The arguments are looked at inside: there only one rank does so, and a mistake in them is reported once.
    return rankpool::run(argc, argv, [&] {
        const std::span<char*> words(argv, static_cast<std::size_t>(argc));
        return word_count(words.subspan(words.empty() ? 0 : 1));
    });
}
