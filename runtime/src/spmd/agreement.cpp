#include <rankpool/comm/agreement.hpp>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "wire/type_names.hpp"
#include <rankpool/error.hpp>

namespace rankpool::comm {
namespace {

// An announcement as it travels.
struct View {
    char operation[24] = {};
    std::int32_t root = -1;
    std::uint32_t native = 0;
    std::uint64_t elements = 0;
    std::uint64_t type_hash = 0, op_hash = 0;
    char type[96] = {}, op[96] = {};

    explicit View(const Announcement& own)
        : root(own.root),
          native(own.native ? 1 : 0),
          elements(own.elements),
          type_hash(std::hash<std::string_view>{}(own.type)),
          op_hash(std::hash<std::string_view>{}(own.op)) {
        std::string_view(own.operation).copy(operation, sizeof operation - 1);
        wire::demangled(own.type).copy(type, sizeof type - 1);
        wire::demangled(own.op).copy(op, sizeof op - 1);
    }
    View() = default;

    bool agrees_with(const View& other) const {
        return std::string_view(operation) == other.operation && root == other.root && native == other.native && elements == other.elements &&
               type_hash == other.type_hash && op_hash == other.op_hash;
    }
    std::string text() const {
        std::string text = operation;
        if (type[0] != '\0') text += std::string(" of ") + (elements != Announcement::any_size ? std::to_string(elements) + " " : "") + type;
        if (op[0] != '\0') text += std::string(" by ") + (native != 0 ? "native " : "") + op;
        if (root >= 0) text += " with root " + std::to_string(root);
        return text;
    }
};

}  // namespace

void agree(Transport& transport, const Announcement& announced) {
    const View own(announced);
    std::vector<View> views(static_cast<std::size_t>(transport.size()));
    transport.allgather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(views)));
    for (View& view : views) view.operation[sizeof view.operation - 1] = view.type[sizeof view.type - 1] = view.op[sizeof view.op - 1] = '\0';
    // The first rank that does something else than rank 0: all ranks tell of the same two.
    for (std::size_t other = 1; other < views.size(); ++other) {
        if (views[other].agrees_with(views[0])) continue;
        throw Error("the ranks disagree: rank 0 calls " + views[0].text() + ", rank " + std::to_string(other) + " calls " + views[other].text() +
                    " (this is rank " + std::to_string(transport.rank()) + ")");
    }
}

bool any_wants_checks(Transport& transport, bool own) {
    std::vector<std::uint8_t> all(static_cast<std::size_t>(transport.size()));
    const std::uint8_t mine = own ? 1 : 0;
    transport.allgather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    return std::find(all.begin(), all.end(), 1) != all.end();
}

bool wants_checks(bool unless_told) {
    const char* told = std::getenv("RANKPOOL_CHECK");
    if (told == nullptr || *told == '\0') return unless_told;
    const std::string_view value(told);
    if (value == "1") return true;
    if (value == "0") return false;
    throw LaunchError("RANKPOOL_CHECK = \"" + std::string(value) + "\"; expected 1 (check that all ranks call the same collective operations) or 0");
}

}  // namespace rankpool::comm
