// The guard against captured addresses, and function pointers as bytes (rankpool/task/callable.hpp).
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "wire/code_reference.hpp"
#include <rankpool/task/callable.hpp>
#include "wire/type_names.hpp"

namespace rankpool::task {
namespace {

// Below this no module, stack or heap is ever mapped; above the other, no user process has memory.
constexpr std::uint64_t lowest_address = 0x10000;
constexpr std::uint64_t highest_address = std::uint64_t{1} << 47;

struct Region {
    std::uint64_t begin, end;
    std::string what;
};

std::vector<Region> mapped_regions() {
    std::vector<Region> regions;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        unsigned long long begin = 0, end = 0;
        char permissions[5] = {};
        int path = 0;
        if (std::sscanf(line.c_str(), "%llx-%llx %4s %*s %*s %*s %n", &begin, &end, permissions, &path) < 3) continue;
        if (permissions[0] == '-' && permissions[1] == '-' && permissions[2] == '-') continue;  // reserved, nobody's
        const std::string name = path > 0 ? line.substr(static_cast<std::size_t>(path)) : "";
        regions.push_back({begin, end, name.empty() ? "its heap or a stack" : name});
    }
    return regions;
}

}  // namespace

void refuse_captured_addresses(std::span<const std::byte> captured, const char* type_name) {
    std::vector<Region> regions;
    for (std::size_t offset = 0; offset + 8 <= captured.size(); offset += 8) {
        std::uint64_t word;
        std::memcpy(&word, captured.data() + offset, sizeof word);
        if (word < lowest_address || word >= highest_address) continue;
        if (regions.empty()) regions = mapped_regions();  // only now: reading the map is dear
        const auto region = std::find_if(regions.begin(), regions.end(), [&](const Region& r) { return r.begin <= word && word < r.end; });
        if (region == regions.end()) continue;
        char value[32];
        std::snprintf(value, sizeof value, "0x%llx", static_cast<unsigned long long>(word));
        throw std::invalid_argument(
            "rankpool: the function " + wire::demangled(type_name) + " captured an address: the word at offset " + std::to_string(offset) +
            " is " + value + ", which points into " + region->what + " of this process and means nothing in a worker. Capture "
            "values instead of references or pointers, or pass the data as items; if it is no address, wrap the function "
            "in rankpool::trusted()");
    }
}

void encode_code_address(wire::Buffer& out, const void* address) {
    const wire::CodeReference reference = wire::code_reference(address);
    wire::encode(out, reference.module_identity);
    wire::encode(out, reference.module_path);
    wire::encode(out, reference.offset);
}

const void* decode_code_address(wire::Reader& in, std::size_t readable) {
    wire::CodeReference reference;
    reference.module_identity = in.read<std::string>();
    reference.module_path = in.read<std::string>();
    reference.offset = in.read<std::uint64_t>();
    return wire::resolve(reference, readable);
}

}  // namespace rankpool::task
