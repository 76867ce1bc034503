#include "launch/same_build.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include "wire/code_reference.hpp"
#include <rankpool/communicator.hpp>
#include <rankpool/error.hpp>

namespace rankpool::launch {
namespace {

struct Build {
    std::string identity, program;

    explicit Build(const std::string& told)
        : identity(told.substr(0, told.find('\n'))), program(told.substr(told.find('\n') + 1)) {}
    std::string text() const { return program + " (build " + identity + ")"; }
};

}  // namespace

void require_same_build(comm::Transport& transport) {
    std::error_code unknown;
    const std::string own =
        wire::build_identity() + "\n" + std::filesystem::read_symlink("/proc/self/exe", unknown).string();
    Communicator ranks(std::shared_ptr<comm::Transport>(std::shared_ptr<void>(), &transport));  // for a moment, not its owner
    std::string complaint;
    if (const std::vector<std::string> told = ranks.gather(own); ranks.rank() == 0) {
        const Build first(own);
        std::size_t others = 0;
        for (std::size_t rank = 0; rank < told.size(); ++rank) {
            const Build build(told[rank]);
            if (build.identity == first.identity || ++others > 1) continue;
            complaint = "the ranks run different builds of the program: rank 0 runs " + first.text() + ", rank " +
                        std::to_string(rank) + " runs " + build.text();
        }
        if (others > 1) complaint += ", and " + std::to_string(others - 1) + " more ranks another than rank 0";
        if (others > 0) complaint += "; start the same executable on every rank";
    }
    complaint = ranks.bcast(complaint);
    if (!complaint.empty()) throw LaunchError(complaint);
}

}  // namespace rankpool::launch
