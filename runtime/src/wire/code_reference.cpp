#include "wire/code_reference.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "wire/modules.hpp"
#include <rankpool/error.hpp>

namespace rankpool::wire {
namespace {

struct KnownModule {
    Module module;
    std::string identity;
    std::string path;
};

// What was looked up before: a module's identity and path cost a walk over its notes and over /proc/self/maps. Modules
// can be unloaded and others take their place, so an entry holds only while the loader still reports it at that base.
class Known {
  public:
    std::optional<KnownModule> at(std::uintptr_t address) {
        std::lock_guard lock(mutex_);
        for (const Module& module : loaded_modules())
            if (module.contains(address)) return describe(module);
        return std::nullopt;
    }

    std::optional<KnownModule> with_identity(const std::string& wanted) {
        std::lock_guard lock(mutex_);
        for (const Module& module : loaded_modules()) {
            // Hashing code is dear: hash only when a hash is asked for.
            const bool hashed = wanted.rfind("code-", 0) == 0;
            if (module.build_id.empty() != hashed || module.segments.empty()) continue;
            KnownModule known = describe(module);
            if (known.identity == wanted) return known;
        }
        return std::nullopt;
    }

  private:
    KnownModule describe(const Module& module) {
        auto& known = by_base_[module.base];
        if (known.path.empty() || known.module.name != module.name || known.module.build_id != module.build_id)
            known = {module, identity(module), mapped_file(module.segments.front().begin)};
        return known;
    }

    std::mutex mutex_;
    std::map<std::uintptr_t, KnownModule> by_base_;
};

Known& known() {
    static Known instance;
    return instance;
}

// Whether a module of this process comes from the file.
bool is_loaded(const std::string& path) {
    const auto modules = loaded_modules();
    return std::any_of(modules.begin(), modules.end(), [&](const Module& module) {
        return !module.segments.empty() && mapped_file(module.segments.front().begin) == path;
    });
}

}  // namespace

CodeReference code_reference(const void* address) {
    const auto where = reinterpret_cast<std::uintptr_t>(address);
    const auto found = known().at(where);
    if (!found)
        throw Error("this function lies in no loaded module (program, shared library or plugin), so no other process "
                    "can find it; generated code cannot be sent");
    return {found->identity, found->path, where - found->module.base};
}

const void* resolve(const CodeReference& reference, std::size_t bytes) {
    auto found = known().with_identity(reference.module_identity);
    if (!found && !reference.module_path.empty() && !is_loaded(reference.module_path)) {
        // A module that the sender loaded after this process was forked. It stays loaded: its code may be running.
        if (dlopen(reference.module_path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == nullptr) {
            const char* why = dlerror();
            throw Error("cannot load " + reference.module_path + " (build " + reference.module_identity +
                        "), which has the function to run: " + (why != nullptr ? why : "unknown error"));
        }
        found = known().with_identity(reference.module_identity);
    }
    if (!found)
        throw Error("the function to run is in " + reference.module_path + " (build " + reference.module_identity +
                    "), but this process has another build of it; run the same build everywhere");
    const std::uintptr_t begin = found->module.base + reference.offset;
    const auto& segments = found->module.segments;
    const bool inside = std::any_of(segments.begin(), segments.end(), [&](const Segment& s) {
        return s.readable && s.begin <= begin && begin <= s.end && bytes <= s.end - begin;
    });
    if (!inside) throw Error("a reference to code points outside of " + reference.module_path);
    return reinterpret_cast<const void*>(begin);
}

std::string build_identity() {
    const auto modules = loaded_modules();
    std::string text = identity(modules.front());
    for (const Module& module : modules)
        if (module.contains(reinterpret_cast<std::uintptr_t>(&build_identity)) && module.base != modules.front().base)
            text += "+" + identity(module);
    return text;
}

}  // namespace rankpool::wire
