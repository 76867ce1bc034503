#include "pool/job.hpp"

#include "wire/code_reference.hpp"
#include <rankpool/error.hpp>
#include <rankpool/remote.hpp>

namespace rankpool::pool {
namespace {

void put(os::ByteWriter& out, const wire::CodeReference& reference) {
    out.put(reference.module_identity);
    out.put(reference.module_path);
    out.put(reference.offset);
}

wire::CodeReference get_reference(os::ByteReader& in) {
    wire::CodeReference reference;
    reference.module_identity = in.get_string();
    reference.module_path = in.get_string();
    reference.offset = in.get<std::uint64_t>();
    return reference;
}

}  // namespace

Function Function::pack(const task::Descriptor& descriptor, std::span<const std::byte> function) {
    os::ByteWriter out;
    // The function comes first, where what it shares with its items can be read in place.
    out.put<std::uint64_t>(function.size());
    out.pad(alignment);
    out.put_bytes(function);
    put(out, wire::code_reference(&descriptor));
    const auto exceptions = wire::registered_exceptions();
    out.put(static_cast<std::uint32_t>(exceptions.size()));
    for (const wire::ExceptionDescriptor* exception : exceptions) put(out, wire::code_reference(exception));
    return {std::move(out.bytes()), descriptor.item_size, descriptor.result_size};
}

Failure failure_of(const std::exception_ptr& error, const WorkerInfo& worker) {
    wire::Buffer bytes;
    wire::encode_exception(bytes, error);
    return {{bytes.data(), bytes.data() + bytes.size()}, worker};
}

std::exception_ptr exception_of(const Failure& failure, std::optional<std::size_t> item) {
    return wire::decode_exception(failure.error, RemoteInfo{"", item, failure.worker, ""});
}

bool is_broken_pool(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const BrokenProcessPool&) {
        return true;
    } catch (...) {
        return false;
    }
}

OpenFunction::OpenFunction(std::span<const std::byte> packed) {
    os::ByteReader in(packed);
    const auto bytes = in.get<std::uint64_t>();
    (void)in.take(Function::alignment - sizeof bytes);
    const auto function = in.take(bytes);
    const wire::CodeReference reference = get_reference(in);
    const auto* found = static_cast<const task::Descriptor*>(wire::resolve(reference, sizeof(task::Descriptor)));
    if (found->magic != task::Descriptor::expected_magic || found->size != sizeof(task::Descriptor))
        throw Error("a reference to a task function in " + reference.module_path +
                    " leads to something else; were the sender and this process built from the same sources?");
    const auto exceptions = in.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < exceptions; ++i) {
        const wire::CodeReference where = get_reference(in);
        wire::add_exception(
            static_cast<const wire::ExceptionDescriptor*>(wire::resolve(where, sizeof(wire::ExceptionDescriptor))));
    }
    function_ = found->open(function);
    descriptor_ = found;
}

void run_once(std::span<const std::byte> packed) {
    const OpenFunction function(packed);
    const std::byte nothing{};
    std::byte result{};
    task::Stretch stretch;
    stretch.items = &nothing;
    stretch.results = &result;
    function.descriptor().run(function.function(), stretch, 0, 1);
    if (stretch.error) std::rethrow_exception(stretch.error);
}

std::span<const std::byte> Items::part(std::uint64_t begin, std::uint64_t end) const {
    const std::uint64_t from = begin - first, to = end - first;
    if (ends == nullptr) return {bytes + from * item_size, static_cast<std::size_t>((to - from) * item_size)};
    const std::uint64_t start = from == 0 ? 0 : ends[from - 1];
    const std::uint64_t stop = to == 0 ? 0 : ends[to - 1];
    return {bytes + start, static_cast<std::size_t>(stop - start)};
}

}  // namespace rankpool::pool
