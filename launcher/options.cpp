#include "options.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <rankpool/version.hpp>

namespace rankrun {
namespace {

using Words = std::vector<std::string>;

// ---- values ----

std::chrono::nanoseconds time_of(double seconds) {
    return std::chrono::nanoseconds(static_cast<long long>(seconds * 1e9));
}

// NAME=value; NAME alone takes the launcher's value, and is empty where there is none.
std::string variable_of(const std::string& text) {
    const std::string name = text.substr(0, text.find('='));
    if (name.empty()) throw Refusal("-x " + text + ": a variable needs a name: -x NAME or -x NAME=VALUE");
    for (const char* ours :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "RANKPOOL_JOB", "RANKPOOL_RANK", "RANKPOOL_SIZE"})
        if (name == ours) throw Refusal("-x " + text + ": " + name + " is different for every rank and set by rankrun");
    if (name == "RANKPOOL_RESTARTS") throw Refusal("-x " + text + ": " + name + " is set by rankrun");
    if (text.size() > name.size()) return text;
    const char* value = std::getenv(name.c_str());
    if (value != nullptr) return name + "=" + value;
    std::fprintf(stderr,
                 "rankrun: -x %s: there is no such variable here, so the ranks get none; -x %s=VALUE sets one\n",
                 name.c_str(), name.c_str());
    return {};
}

Input input_of(const std::string& text) {
    if (text == "all") return {Input::To::all, 0};
    if (text == "none") return {Input::To::none, 0};
    Input input;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), input.rank);
    if (error != std::errc() || end != text.data() + text.size() || input.rank < 0)
        throw Refusal("--stdin " + text + ": expected the number of a rank, all or none");
    return input;
}

std::vector<Host> hosts_of(const std::string& text) {
    std::vector<Host> hosts;
    for (std::size_t begin = 0, end = 0; begin <= text.size(); begin = end + 1) {
        end = std::min(text.find(',', begin), text.size());
        const std::string each = text.substr(begin, end - begin);
        Host host{each.substr(0, each.find(':')), 1};
        const bool counted = host.name.size() < each.size();
        if (counted) {
            const char* last = each.data() + each.size();
            const auto parsed = std::from_chars(each.data() + host.name.size() + 1, last, host.ranks);
            if (parsed.ec != std::errc() || parsed.ptr != last) host.ranks = 0;
        }
        if (host.name.empty() || host.ranks < 1)
            throw Refusal("--hosts " + text + ": expected HOST or HOST:RANKS, separated by commas");
        hosts.push_back(host);
    }
    return hosts;
}

template <class Choice>
Choice choice_of(const char* option, const std::string& text,
                 const std::vector<std::pair<std::string, Choice>>& choices) {
    std::string known;
    for (const auto& [name, choice] : choices) {
        if (name == text) return choice;
        known += (known.empty() ? "" : ", ") + name;
    }
    throw Refusal(std::string(option) + " " + text + ": expected one of " + known);
}

// ---- the options of one program ----

// What stands before each program.
struct ProgramWords {
    int ranks = 0;
    Words variables;
    std::string directory;

    void declare(CLI::App& app) {
        app.add_option("-n,--ranks", ranks, "Processes to start, also spelled -np; default: the usable CPUs")
            ->type_name("N")
            ->group("Program");
        app.add_option("-x", variables, "Set a variable of the ranks, or hand on ours")
            ->type_name("NAME[=VALUE]")
            ->allow_extra_args(false)
            ->group("Program");
        app.add_option("--wdir", directory, "Directory in which the program starts")
            ->type_name("DIR")
            ->group("Program");
    }

    Program program(const CLI::App& app, Words command) const {
        if (command.empty()) throw Refusal("no program given; see rankrun --help");
        if (app.count("--ranks") > 0 && ranks < 1)
            throw Refusal("-n " + std::to_string(ranks) + ": at least one rank is needed");
        if (app.count("--wdir") > 0 && directory.empty()) throw Refusal("--wdir needs a directory");
        Program program{ranks, std::move(command), {}, {}, directory};
        for (const std::string& text : variables)
            if (const std::string variable = variable_of(text); !variable.empty())
                program.variables.push_back(variable);
        return program;
    }
};

// CLI11 knows options of one letter and of many, but "-np" is one of two: every MPI user's fingers type it.
void spell_np_out(const CLI::App& app, Words& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i].empty() || words[i].front() != '-' || words[i] == "--") return;  // the program
        if (words[i] == "-np") words[i] = "--ranks";
        const CLI::Option* option = app.get_option_no_throw(words[i]);
        if (option != nullptr && option->get_items_expected_max() > 0) ++i;  // its value
    }
}

// Reads the options; returns the words from the program's name on.
Words parse_options(CLI::App& app, Words words) {
    app.prefix_command();
    spell_np_out(app, words);
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(words);
    Words rest = app.remaining();
    if (!rest.empty() && rest.front() != "--" && rest.front().size() > 1 && rest.front().front() == '-')
        throw Refusal(rest.front() + ": no such option here; see rankrun --help");
    return rest;
}

// The words up to a ":", which go; behind "--" all of them are one program's.
Words take_command(Words& words) {
    Words command;
    if (!words.empty() && words.front() == "--") {
        command.assign(words.begin() + 1, words.end());
        words.clear();
        return command;
    }
    const auto colon = std::find(words.begin(), words.end(), ":");
    command.assign(words.begin(), colon);
    if (colon != words.end() && colon + 1 == words.end()) throw Refusal("no program given behind the last `:`");
    words.erase(words.begin(), colon == words.end() ? colon : colon + 1);
    return command;
}

void parse_further_programs(Words words, Options& options) {
    while (!words.empty()) {
        CLI::App app;
        app.set_help_flag();
        ProgramWords further;
        further.declare(app);
        try {
            words = parse_options(app, std::move(words));
        } catch (const Refusal& refusal) {
            throw Refusal(std::string(refusal.what()) + " (behind a `:` only -n, -x and --wdir)");
        }
        options.programs.push_back(further.program(app, take_command(words)));
    }
    if (options.programs.size() < 2) return;
    for (const Program& program : options.programs)
        if (program.ranks == 0) throw Refusal(program.command.front() + ": with several programs each needs its -n");
}

// CLI11's own usage line knows nothing of the program.
struct HelpText : CLI::Formatter {
    std::string make_usage(const CLI::App*, std::string) const override {
        return "Usage: rankrun [options] program [arguments...]\n"
               "       rankrun [options] -n A program1 : -n B program2\n";
    }
};

const char* const footer =
    "Options end at the program's name. Every rank finds RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE in its\n"
    "environment. The exit code is 0 when all ranks end with 0, else that of the first rank that failed (128+N for\n"
    "signal N), 124 after --timeout, 127 and 126 for a program that is not found or not executable, 2 for wrong use.\n"
    "\n"
    "Examples:\n"
    "  rankrun -n 4 ./app --size 10             four ranks of ./app on this machine\n"
    "  rankrun -n 1 ./server : -n 3 ./client    one job of two programs\n"
    "  rankrun -l -n 4 ./app 2>&1 | less        lines that say whose they are\n"
    "  rankrun --hosts a:8,b:8 --dry-run ./app  the mpirun command for two machines\n";

}  // namespace

int Options::ranks() const {
    int all = 0;
    for (const Program& program : programs) all += program.ranks;
    return all;
}

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    ProgramWords program;
    std::string input, bind, via, hosts;
    double timeout = 0, grace = 0;
    CLI::App app(
        "Starts a program as N ranks on this machine, over shared memory; across machines through mpirun or srun.\n",
        "rankrun");
    app.formatter(std::make_shared<HelpText>());
    app.get_formatter()->column_width(34);
    app.set_help_flag();  // again below, as the last group
    program.declare(app);
    app.add_flag("-l,--label", options.label, "Begin each line of output with \"[rank] \"; lines are never mixed")
        ->group("Input and output");
    app.add_flag("--timestamp", options.timestamp, "The same, and the time follows")->group("Input and output");
    app.add_option("-o,--output-dir", options.output_directory, "Output into DIR/rank.N/stdout and stderr")
        ->type_name("DIR")
        ->group("Input and output");
    app.add_option("--stdin", input, "Who gets standard input: a rank's number, all or none; default 0")
        ->type_name("WHO")
        ->group("Input and output");
    app.add_option("--bind", bind, "core: pin each rank to a core, if there are enough; default none")
        ->type_name("core|none")
        ->group("CPUs");
    app.add_flag("--report-bindings", options.report_bindings, "Say on which CPUs each rank may run")->group("CPUs");
    app.add_option("--timeout", timeout, "End the job after that time, with exit code 124")
        ->type_name("SECONDS")
        ->group("End");
    app.add_option("--grace", grace, "Between SIGTERM and SIGKILL when the job is ended; default 5")
        ->type_name("SECONDS")
        ->group("End");
    app.add_option("--restarts", options.restarts, "Start the whole job again after a failure, at most N times")
        ->type_name("N")
        ->group("End");
    app.add_option("--via", via,
                   "Who starts the ranks: auto, local, mpirun or srun; default auto:\nsrun in a Slurm allocation of "
                   "several nodes, mpirun for --hosts")
        ->type_name("WHO")
        ->group("Machines");
    app.add_option("--hosts", hosts, "Machines, each with its number of ranks or 1")
        ->type_name("H1,H2:4")
        ->group("Machines");
    app.set_help_flag("-h,--help", "This text")->group("About");
    app.set_version_flag("--version", "rankrun " + rankpool::version(), "The version")->group("About");
    app.add_flag("--dry-run", options.dry_run, "Show what would be started, and start nothing")->group("About");
    app.add_flag("--verbose", options.verbose, "Show the plan and which process is which rank")->group("About");
    app.add_flag("--info", options.info, "What this machine offers")->group("About");
    app.footer(footer);
    try {
        Words words = parse_options(app, Words(argv + 1, argv + argc));
        if (options.info) {
            if (!words.empty()) throw Refusal("--info starts nothing: leave out " + words.front());
            if (argc > 2) throw Refusal("--info starts nothing: it stands alone");
            return options;
        }
        options.programs.push_back(program.program(app, take_command(words)));
        parse_further_programs(std::move(words), options);
        if (app.count("--output-dir") > 0 && options.output_directory.empty())
            throw Refusal("--output-dir needs a directory");
        if (app.count("--stdin") > 0) options.input = input_of(input);
        if (app.count("--bind") > 0)
            options.bind = choice_of<Bind>("--bind", bind, {{"core", Bind::core}, {"none", Bind::none}});
        if (app.count("--timeout") > 0) {
            if (!(timeout > 0) || timeout > 1e9) throw Refusal("--timeout: a time in seconds, more than 0");
            options.timeout = time_of(timeout);
        }
        if ((options.grace_given = app.count("--grace") > 0)) {
            if (!(grace >= 0) || grace > 1e9) throw Refusal("--grace: a time in seconds, 0 or more");
            options.grace = time_of(grace);
        }
        if (options.restarts < 0)
            throw Refusal("--restarts " + std::to_string(options.restarts) + ": a number, 0 or more");
        if (app.count("--via") > 0)
            options.via = choice_of<Via>(
                "--via", via,
                {{"auto", Via::automatic}, {"local", Via::local}, {"mpirun", Via::mpirun}, {"srun", Via::srun}});
        if (app.count("--hosts") > 0) options.hosts = hosts_of(hosts);
    } catch (const CLI::Success& wanted) {
        app.exit(wanted);
        return std::nullopt;
    } catch (const CLI::Error& error) {
        throw Refusal(error.what());
    }
    return options;
}

}  // namespace rankrun
