// rankrun: starts a program as N ranks. See rankrun --help.
#include <cstdio>
#include <exception>
#include <iostream>

#include <rankpool/error.hpp>
#include "bindings.hpp"
#include "engines.hpp"
#include "front.hpp"
#include "info.hpp"
#include "options.hpp"
#include "os/failure.hpp"
#include "os/standard_streams.hpp"
#include "plan.hpp"

namespace {

// What was asked for is this output: that it cannot be written is a failure.
void write_out() {
    std::cout.flush();
    if (!std::cout.good() || std::fflush(stdout) != 0)
        throw rankpool::Error(rankpool::os::failure_text("write", "standard output", errno));
}

int start(const rankrun::Options& asked) {
    const rankrun::Options options = rankrun::settle_engine(asked);
    const rankrun::Bindings bindings(options.ranks(), options.bind == rankrun::Bind::core);
    for (const std::string& note : rankrun::notes(options, bindings))
        std::fprintf(stderr, "rankrun: note: %s\n", note.c_str());
    if (options.dry_run || options.verbose)
        std::fputs(rankrun::plan_text(options, bindings).c_str(), options.dry_run ? stdout : stderr);
    if (!options.dry_run) return rankrun::run_job(options, bindings);
    write_out();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        rankpool::os::occupy_standard_streams();
        const auto options = rankrun::parse(argc, argv);
        if (options && !options->info) return start(*options);
        if (options) std::fputs(rankrun::info_text().c_str(), stdout);
        write_out();
        return 0;
    } catch (const rankrun::Refusal& refusal) {
        std::fprintf(stderr, "rankrun: %s\n", refusal.what());
        return refusal.exit_code;
    } catch (const std::invalid_argument& error) {  // RANKPOOL_CPU_COUNT
        std::fprintf(stderr, "rankrun: %s\n", error.what());
        return rankrun::exit_usage;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankrun: %s\n", error.what());
        return 1;
    }
}
