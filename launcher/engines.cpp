#include "engines.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include <rankpool/cpus.hpp>
#include "os/host_name.hpp"
#include "plan.hpp"
#include "program_search.hpp"
#include "slurm.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;
using Words = std::vector<std::string>;

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

// What a command prints, on either stream.
std::string output_of(const Words& command) {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((shell_text(command) + " 2>&1 </dev/null").c_str(), "re"),
                                                     pclose);
    std::string text;
    std::array<char, 4096> piece{};
    while (pipe && std::fgets(piece.data(), piece.size(), pipe.get()) != nullptr) text += piece.data();
    return text;
}

// ---- which mpirun this is ----

struct Mpirun {
    enum Kind { absent, unknown, open_mpi, hydra } kind = absent;
    int major = 0;
    std::string file = {}, says = {};  // its --version
};

int number_after(const std::string& text, const std::string& word) {
    const auto at = text.find(word);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + word.size());
}

Mpirun mpirun_in_path() {
    Mpirun mpirun;
    for (const char* name : {"mpirun", "mpiexec"})
        if (mpirun.file.empty()) mpirun.file = find_in_path(name);
    if (mpirun.file.empty()) return mpirun;
    const std::string text = mpirun.says = output_of({mpirun.file, "--version"});
    const auto says = [&](const char* word) { return text.find(word) != std::string::npos; };
    mpirun.kind = Mpirun::unknown;
    if (says("HYDRA") || says("Intel(R) MPI")) mpirun.kind = Mpirun::hydra;
    // By the name it was called by it says one or the other; behind PRRTE 3 there is Open MPI 5.
    for (const char* name : {"(Open MPI) ", "(OpenRTE) "})
        if (says(name)) return {Mpirun::open_mpi, number_after(text, name), mpirun.file, text};
    if (says("(PRRTE)")) return {Mpirun::open_mpi, 5, mpirun.file, text};
    return mpirun;
}

Mpirun find_mpirun() {
    const Mpirun mpirun = mpirun_in_path();
    if (mpirun.kind == Mpirun::absent)
        throw Refusal("there is no mpirun in PATH; install Open MPI or MPICH, or load its module", exit_not_found);
    if (mpirun.kind == Mpirun::unknown)
        throw Refusal(mpirun.file + " is of no MPI that rankrun knows: its --version says \"" +
                      mpirun.says.substr(0, mpirun.says.find('\n')) +
                      "\"; put the mpirun of Open MPI or MPICH first in PATH");
    return mpirun;
}

// ---- what all engines have in common ----

// What an engine calls a rank's place in the job, in words of a shell.
struct Place {
    const char *rank, *size, *local_rank, *local_size;
};

constexpr Place open_mpi_place{"$OMPI_COMM_WORLD_RANK", "$OMPI_COMM_WORLD_SIZE", "$OMPI_COMM_WORLD_LOCAL_RANK",
                               "$OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Place hydra_place{"$PMI_RANK", "$PMI_SIZE", "$MPI_LOCALRANKID", "$MPI_LOCALNRANKS"};
// Tasks of each node: "4", "4(x3),2".
constexpr Place slurm_place{"$SLURM_PROCID", "$SLURM_STEP_NUM_TASKS", "$SLURM_LOCALID",
                            "$(IFS=,; node=$SLURM_NODEID; for each in $SLURM_STEP_TASKS_PER_NODE; do nodes=${each#*x}; "
                            "[ $nodes != $each ] && nodes=${nodes%?} || nodes=1; "
                            "[ $node -ge $nodes ] || { echo ${each%%[!0-9]*}; break; }; node=$((node - nodes)); done)"};

// A shell between the engine and the program: it gives the rank its variables and, with --output-dir, its files, the
// same below each engine.
Words program_words(const Options& options, const Program& program, const Place& place) {
    const std::string text = std::string("export RANK=") + place.rank + " WORLD_SIZE=" + place.size +
                             " LOCAL_RANK=" + place.local_rank + " LOCAL_WORLD_SIZE=" + place.local_size +
                             " RANKPOOL_RESTARTS=${RANKPOOL_RESTARTS:-0}; ";
    Words words{"sh", "-c"};
    if (options.output_directory.empty()) {
        append(words, {text + "exec \"$@\"", "rankrun"});
    } else {
        // Files of an earlier job are replaced, those of an earlier start continued.
        append(words, {text + "mkdir -p \"$0/rank.$RANK\" && { [ $RANKPOOL_RESTARTS -gt 0 ] || "
                              ": >\"$0/rank.$RANK/stdout\" >\"$0/rank.$RANK/stderr\"; } && "
                              "exec \"$@\" >>\"$0/rank.$RANK/stdout\" 2>>\"$0/rank.$RANK/stderr\"",
                       std::filesystem::absolute(options.output_directory).string()});
    }
    append(words, program.command);
    return words;
}

std::string host_list(const std::vector<Host>& hosts, const char* between) {
    std::string text;
    for (const Host& host : hosts) text += (text.empty() ? "" : ",") + host.name + between + std::to_string(host.ranks);
    return text;
}

// ---- Open MPI ----

Words open_mpi_words(const Options& options, const Mpirun& mpirun) {
    const bool renamed = mpirun.major >= 5;
    Words words{mpirun.file};
    if (geteuid() == 0) words.push_back("--allow-run-as-root");
    append(words, renamed ? Words{"--map-by", ":OVERSUBSCRIBE"} : Words{"--oversubscribe"});
    const bool crowded = options.hosts.empty() && options.ranks() > rankpool::process_cpu_count();
    append(words, {"--bind-to", options.bind == Bind::core && !crowded ? "core" : "none"});
    if (options.report_bindings) append(words, renamed ? Words{"--display", "bindings"} : Words{"--report-bindings"});
    if (!options.hosts.empty()) append(words, {"--host", host_list(options.hosts, ":")});
    if (renamed && options.labelled())
        append(words, {"--output", options.timestamp ? "tag,timestamp" : "tag"});
    else if (options.labelled())
        words.push_back("--tag-output");
    if (!renamed && options.timestamp) words.push_back("--timestamp-output");
    if (options.input.to == Input::To::all) append(words, {"--stdin", "all"});
    if (options.input.to == Input::To::none) append(words, {"--stdin", "none"});
    if (options.input.to == Input::To::rank && options.input.rank != 0)
        append(words, {"--stdin", std::to_string(options.input.rank)});
    // Its own time between SIGTERM and SIGKILL, which it always waits in full: only where somebody asked for it.
    if (!renamed && options.grace_given)
        append(words,
               {"--mca", "odls_base_sigkill_timeout",
                std::to_string(static_cast<long>(std::ceil(std::chrono::duration<double>(options.grace).count())))});
    bool first = true;
    for (const Program& program : options.programs) {
        if (!std::exchange(first, false)) words.push_back(":");
        if (program.ranks > 0) append(words, {"-n", std::to_string(program.ranks)});
        if (options.restarts > 0) append(words, {"-x", "RANKPOOL_RESTARTS"});  // the others pass all of ours on
        for (const std::string& variable : program.variables) append(words, {"-x", variable});
        if (!program.directory.empty()) append(words, {"--wdir", program.directory});
        append(words, program_words(options, program, open_mpi_place));
    }
    return words;
}

// ---- MPICH, Intel MPI ----

Words hydra_words(const Options& options, const Mpirun& mpirun) {
    if (options.timestamp) throw Refusal("--timestamp: the mpirun of MPICH has nothing like it; use --label");
    if (options.report_bindings)
        throw Refusal("--report-bindings: the mpirun of MPICH has nothing like it; use --via local, or Open MPI");
    if (options.input.to == Input::To::all || options.input.rank != 0)
        throw Refusal(
            "--stdin: the mpirun of MPICH gives standard input to rank 0 only; use --stdin 0 or none, or Open MPI");
    for (const Program& program : options.programs)
        if (program.directory != options.programs.front().directory)
            throw Refusal("--wdir: the mpirun of MPICH has one directory for all programs");
    Words words{mpirun.file};
    const bool crowded = options.hosts.empty() && options.ranks() > rankpool::process_cpu_count();
    if (options.bind == Bind::core && !crowded) append(words, {"-bind-to", "core"});
    if (!options.hosts.empty()) append(words, {"-hosts", host_list(options.hosts, ":")});
    if (options.labelled()) words.push_back("-prepend-rank");
    if (!options.programs.front().directory.empty()) append(words, {"-wdir", options.programs.front().directory});
    bool first = true;
    for (const Program& program : options.programs) {
        if (!std::exchange(first, false)) words.push_back(":");
        if (program.ranks > 0) append(words, {"-n", std::to_string(program.ranks)});
        for (const std::string& variable : program.variables) {
            const auto equals = variable.find('=');
            append(words, {"-env", variable.substr(0, equals), variable.substr(equals + 1)});
        }
        // It never tells the ranks behind rank 0 that nothing comes: reading, they would wait for ever.
        if (options.input.to == Input::To::none) append(words, {"sh", "-c", "exec \"$0\" \"$@\" </dev/null"});
        append(words, program_words(options, program, hydra_place));
    }
    return words;
}

// ---- Slurm ----

// The way in which ranks find each other: what Slurm offers and the MPI of this machine speaks.
Words mpi_type(const std::string& srun) {
    if (std::getenv("SLURM_MPI_TYPE") != nullptr) return {};  // chosen
    const std::string offered = output_of({srun, "--mpi=list"});
    const bool mpich = mpirun_in_path().kind == Mpirun::hydra;
    for (const char* type : mpich ? std::array{"pmi2", "pmix"} : std::array{"pmix", "pmi2"})
        if (offered.find(type) != std::string::npos) return {std::string("--mpi=") + type};
    return {};
}

Words slurm_hosts(const std::vector<Host>& hosts) {
    const bool equal =
        std::all_of(hosts.begin(), hosts.end(), [&](const Host& host) { return host.ranks == hosts.front().ranks; });
    if (!equal) return {"--distribution=arbitrary", "--nodelist=" + host_list(hosts, "*")};
    std::string list;
    for (const Host& host : hosts) list += (list.empty() ? "" : ",") + host.name;
    return {"--nodes=" + std::to_string(hosts.size()), "--ntasks-per-node=" + std::to_string(hosts.front().ranks),
            "--nodelist=" + list};
}

Words srun_words(const Options& options) {
    if (options.programs.size() > 1) throw Refusal("several programs (`:`) cannot be handed to srun; use --via mpirun");
    if (options.timestamp) throw Refusal("--timestamp: srun has nothing like it; use --label");
    const std::string srun = find_in_path("srun");
    if (srun.empty() && !options.dry_run)
        throw Refusal("there is no srun in PATH; use --via mpirun or --via local", exit_not_found);
    const Program& program = options.programs.front();
    Words words{srun.empty() ? "srun" : srun, "--kill-on-bad-exit=1"};
    if (!srun.empty()) append(words, mpi_type(srun));
    if (program.ranks > 0) words.push_back("--ntasks=" + std::to_string(program.ranks));
    if (!options.hosts.empty()) append(words, slurm_hosts(options.hosts));
    // Some versions forget it between the job and its steps.
    if (const char* cpus = std::getenv("SLURM_CPUS_PER_TASK")) words.push_back(std::string("--cpus-per-task=") + cpus);
    if (const int cpus = slurm::cpus_of_job(); cpus > 0 && program.ranks > cpus) words.push_back("--overcommit");
    const std::string bind = options.bind == Bind::core ? "cores" : "none";
    words.push_back("--cpu-bind=" + (options.report_bindings ? "verbose," + bind : bind));
    switch (options.input.to) {
        case Input::To::all:
            words.push_back("--input=all");
            break;
        case Input::To::none:
            words.push_back("--input=none");
            break;
        case Input::To::rank:
            words.push_back("--input=" + std::to_string(options.input.rank));
            break;
    }
    if (options.label) words.push_back("--label");
    if (!program.directory.empty()) words.push_back("--chdir=" + program.directory);
    append(words, program_words(options, program, slurm_place));
    return words;
}

// ---- the choice ----

bool is_here(const Host& host) {
    const std::string own = os::host_name();
    return host.name == "localhost" || host.name == own || host.name == own.substr(0, own.find('.'));
}

Via choose(const Options& options) {
    const bool here = std::all_of(options.hosts.begin(), options.hosts.end(), is_here);
    if (options.via == Via::local && !here)
        throw Refusal("--via local: " + host_list(options.hosts, ":") +
                      " is not this machine; use --via mpirun or srun");
    if (options.via != Via::automatic) return options.via;
    if (!options.hosts.empty()) return here ? Via::local : slurm::in_allocation() ? Via::srun : Via::mpirun;
    return slurm::in_allocation() && slurm::nodes_of_job() > 1 && !slurm::in_task() ? Via::srun : Via::local;
}

// Usable CPUs, or what Slurm gave each task where that is smaller.
int default_ranks() {
    int cpus = rankpool::process_cpu_count();
    if (const char* text = std::getenv("SLURM_CPUS_PER_TASK")) {
        const int given = std::atoi(text);
        if (given > 0) cpus = std::min(cpus, given);
    }
    return cpus;
}

// -n that was not given. Over several nodes of an allocation the engine knows better.
void settle_ranks(Options& options, Via via) {
    if (options.programs.front().ranks > 0) return;
    int ranks = 0;
    for (const Host& host : options.hosts) ranks += host.ranks;
    const bool engine_knows = via != Via::local && slurm::in_allocation();
    if (ranks == 0 && !engine_knows) ranks = default_ranks();
    options.programs.front().ranks = ranks;
}

}  // namespace

Options settle_engine(const Options& options) {
    const Via via = choose(options);
    Options settled = options;
    settle_ranks(settled, via);
    if (const int ranks = settled.ranks();
        ranks > 0 && settled.input.to == Input::To::rank && settled.input.rank >= ranks)
        throw Refusal("--stdin " + std::to_string(settled.input.rank) + ": the job has ranks 0 to " +
                      std::to_string(ranks - 1));
    if (via == Via::local) {
        for (Program& program : settled.programs) program.file = find_program(program);
        return settled;
    }
    if (options.labelled() && !options.output_directory.empty())
        throw Refusal("--label and --timestamp go with --output-dir on this machine only (--via local)");
    if (via == Via::mpirun && options.hosts.empty())
        for (const Program& program : options.programs)
            (void)find_program(program);  // its absence is told in our words
    Program engine;
    engine.ranks = 1;
    if (via == Via::srun) {
        engine.command = srun_words(settled);
        engine.variables = settled.programs.front().variables;  // srun passes its environment on
    } else {
        const Mpirun mpirun = find_mpirun();
        engine.command =
            mpirun.kind == Mpirun::open_mpi ? open_mpi_words(settled, mpirun) : hydra_words(settled, mpirun);
    }
    engine.file = engine.command.front();
    engine.command.front() = settled.engine = std::filesystem::path(engine.file).filename().string();
    settled.programs = {engine};
    settled.label = settled.timestamp = settled.report_bindings = false;
    settled.output_directory.clear();
    settled.bind = Bind::none;
    settled.input.rank = 0;
    if (settled.input.to == Input::To::all) settled.input.to = Input::To::rank;
    settled.hosts.clear();
    return settled;
}

}  // namespace rankrun
