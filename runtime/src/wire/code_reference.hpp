// Where a piece of code or constant data lies, in words that another process of the same build understands: the
// module's build-id, the offset from the module's load address, and the file to load the module from if need be.
//
// Independent of address-space randomisation, of PIE, of the order in which libraries were loaded, and of the working
// directory. Modules without a GNU build-id are known by a hash of their code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace rankpool::wire {

struct CodeReference {
    std::string module_identity;  // hex
    std::string module_path;      // absolute
    std::uint64_t offset = 0;     // from the module's load address

    friend bool operator==(const CodeReference&, const CodeReference&) = default;
};

/// The reference of an address inside a loaded module. Throws Error for an address that lies in none.
CodeReference code_reference(const void* address);

/// The address in this process; loads the module when it is not there. `bytes` must be readable from that address on.
/// Throws Error, naming the module, when it cannot be found or is another build.
const void* resolve(const CodeReference& reference, std::size_t bytes);

/// Identity of the program and of everything that was linked to it at start: equal on all ranks of a sound job.
std::string build_identity();

}  // namespace rankpool::wire
