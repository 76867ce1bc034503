#include "wire/modules.hpp"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

namespace rankpool::wire {
namespace {

std::string hex(const unsigned char* bytes, std::size_t count) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

std::string build_id_in_notes(const unsigned char* notes, std::size_t size) {
    const auto aligned = [](std::size_t n) { return (n + 3) & ~std::size_t{3}; };
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        std::memcpy(&note, notes, sizeof note);
        const std::size_t whole = sizeof note + aligned(note.n_namesz) + aligned(note.n_descsz);
        if (whole > size) break;
        const unsigned char* name = notes + sizeof note;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0)
            return hex(name + aligned(note.n_namesz), note.n_descsz);
        notes += whole;
        size -= whole;
    }
    return {};
}

int add_module(dl_phdr_info* info, std::size_t, void* list) {
    Module module;
    module.name = info->dlpi_name;
    module.base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& header = info->dlpi_phdr[i];
        const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
        if (header.p_type == PT_LOAD)
            module.segments.push_back({begin, begin + header.p_memsz, (header.p_flags & PF_X) != 0,
                                       (header.p_flags & PF_R) != 0});
        else if (header.p_type == PT_NOTE && module.build_id.empty())
            module.build_id = build_id_in_notes(reinterpret_cast<const unsigned char*>(begin), header.p_memsz);
    }
    static_cast<std::vector<Module>*>(list)->push_back(std::move(module));
    return 0;
}

}  // namespace

bool Module::contains(std::uintptr_t address) const {
    return std::any_of(segments.begin(), segments.end(),
                       [&](const Segment& s) { return s.begin <= address && address < s.end; });
}

std::vector<Module> loaded_modules() {
    std::vector<Module> modules;
    dl_iterate_phdr(add_module, &modules);
    return modules;
}

std::string identity(const Module& module) {
    if (!module.build_id.empty()) return module.build_id;
    std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
    for (const Segment& segment : module.segments) {
        if (!segment.executable || !segment.readable) continue;
        for (auto at = segment.begin; at < segment.end; ++at)
            hash = (hash ^ *reinterpret_cast<const unsigned char*>(at)) * 0x100000001b3u;
    }
    return "code-" + hex(reinterpret_cast<const unsigned char*>(&hash), sizeof hash);
}

std::string mapped_file(std::uintptr_t address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0, end = 0;
        char dash = 0;
        std::string permissions, offset, device, inode, path;
        std::istringstream in(line);
        in >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode;
        if (address < begin || address >= end) continue;
        std::getline(in >> std::ws, path);
        return !path.empty() && path.front() == '/' ? path : std::string();
    }
    return {};
}

}  // namespace rankpool::wire
