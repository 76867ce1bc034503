#include "launch/same_build.hpp"

#include <filesystem>
#include <string>
#include <string_view>

#include <rankpool/error.hpp>
#include "wire/code_reference.hpp"

namespace rankpool::launch {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(const wire::Buffer& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

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
    std::string complaint;
    if (const auto told = transport.gather(bytes_of(own), 0); transport.rank() == 0) {
        const Build first(own);
        std::size_t others = 0;
        for (std::size_t rank = 0; rank < told.size(); ++rank) {
            const Build build(text_of(told[rank]));
            if (build.identity == first.identity || ++others > 1) continue;
            complaint = "the ranks run different builds of the program: rank 0 runs " + first.text() + ", rank " +
                        std::to_string(rank) + " runs " + build.text();
        }
        if (others > 1) complaint += ", and " + std::to_string(others - 1) + " more ranks another than rank 0";
        if (others > 0) complaint += "; start the same executable on every rank";
    }
    wire::Buffer verdict;
    verdict.append(complaint.data(), complaint.size());
    transport.bcast(verdict, 0);
    if (verdict.size() > 0) throw LaunchError(text_of(verdict));
}

}  // namespace rankpool::launch
