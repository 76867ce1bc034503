#include "plan.hpp"

#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <rankpool/cpus.hpp>
#include "slurm.hpp"

namespace rankrun {
namespace {

std::string quoted(std::string_view word) {
    const auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("_@%+=:,./-").find(c) != std::string_view::npos;
    };
    bool needs_quotes = word.empty();
    for (const char c : word) needs_quotes = needs_quotes || !plain(c);
    if (!needs_quotes) return std::string(word);
    std::string text = "'";
    for (const char c : word) {
        if (c == '\'')
            text += "'\\''";
        else
            text += c;
    }
    return text + "'";
}

// "A=1 prog x" to be started in `directory`.
std::string command_text(const Program& program) {
    std::string text;
    if (!program.directory.empty()) text += "cd " + quoted(program.directory) + " && ";
    for (const std::string& variable : program.variables) {
        const auto equals = variable.find('=');
        text += variable.substr(0, equals + 1) + quoted(std::string_view(variable).substr(equals + 1)) + " ";
    }
    return text + shell_text(program.command);
}

std::string input_text(const Input& input) {
    switch (input.to) {
        case Input::To::all:
            return "every rank";
        case Input::To::none:
            return "nobody";
        case Input::To::rank:
            break;
    }
    return "rank " + std::to_string(input.rank);
}

}  // namespace

std::vector<std::string> rank_variables(const Options& options, int rank) {
    const std::string number = std::to_string(rank), size = std::to_string(options.ranks());
    return {"RANK=" + number, "WORLD_SIZE=" + size, "LOCAL_RANK=" + number, "LOCAL_WORLD_SIZE=" + size};
}

std::string shell_text(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + quoted(word);
    return text;
}

std::string seconds_text(std::chrono::nanoseconds time) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", std::chrono::duration<double>(time).count());
    return text;
}

std::string plan_text(const Options& options, const Bindings& bindings) {
    if (!options.engine.empty()) return command_text(options.programs.front()) + "\n";
    const int ranks = options.ranks();
    std::string text;
    int rank = 0;
    for (const Program& program : options.programs)
        for (int i = 0; i < program.ranks; ++i, ++rank) {
            text += "rank " + std::to_string(rank) + ": " + command_text(program);
            if (!bindings.of(rank).empty()) text += "  # " + bindings.text(rank);
            text += "\n";
        }
    text += "# " + std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks") + " on this machine; standard input to " +
            input_text(options.input) + "\n";
    if (!options.output_directory.empty()) text += "# output in " + options.output_directory + "/rank.N/\n";
    if (options.timeout) text += "# ends after " + seconds_text(*options.timeout) + " s\n";
    if (options.restarts > 0)
        text += "# starts again after a failure, at most " + std::to_string(options.restarts) + " times\n";
    return text;
}

std::vector<std::string> notes(const Options& options, const Bindings& bindings) {
    std::vector<std::string> all;
    if (!options.engine.empty()) return all;
    // For somebody who looks on. A script that starts more ranks than CPUs means it, and may take whatever is on
    // standard error for a failure.
    const bool somebody_looks_on = options.verbose || isatty(STDERR_FILENO) == 1;
    const int ranks = options.ranks(), cpus = rankpool::process_cpu_count();
    const std::string crowd =
        std::to_string(ranks) + " ranks share " + std::to_string(cpus) + (cpus == 1 ? " usable CPU" : " usable CPUs");
    if (bindings.left_out()) {
        all.push_back(crowd + ": they are not bound to cores");
    } else if (ranks > cpus && somebody_looks_on) {
        all.push_back(crowd);
    }
    if (const int tasks = slurm::tasks_of_step(); tasks > 1 && somebody_looks_on)
        all.push_back("srun has started " + std::to_string(tasks) +
                      " times rankrun, each with a job of its own; for one job, start rankrun without srun");
    return all;
}

}  // namespace rankrun
