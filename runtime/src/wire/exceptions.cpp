// Exceptions as data (rankpool/remote.hpp).
//
//     form | type name | text | nested? | [nested exception, length-prefixed] | what the form says
//
// The form is `registered` with the mangled name of the type that was registered, or `standard` with the number of the
// type in the table of standard_exceptions.cpp, or `other`.
#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "wire/standard_exceptions.hpp"
#include <rankpool/remote.hpp>
#include "wire/type_names.hpp"

namespace rankpool {
namespace wire {
namespace {

enum class Form : std::uint8_t { other = 0, standard = 1, registered = 2 };

// Nested exceptions deeper than this are cut off: a chain that long is a mistake, and decoding is recursive.
constexpr int deepest_nesting = 64;

struct Registry {
    std::mutex mutex;
    std::vector<const ExceptionDescriptor*> types;
};
Registry& registry() {
    static auto* instance = new Registry;  // never destroyed: static destructors of the program may still use pools
    return *instance;
}

const std::type_info* thrown_type(const std::exception_ptr& error) { return error ? error.__cxa_exception_type() : nullptr; }

// What an exception that is no std::exception has to say.
std::string text_of_other(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const char* text) {
        return text != nullptr ? text : "";
    } catch (const std::string& text) {
        return text;
    } catch (int value) {
        return std::to_string(value);
    } catch (long value) {
        return std::to_string(value);
    } catch (unsigned value) {
        return std::to_string(value);
    } catch (double value) {
        return std::to_string(value);
    } catch (...) {
        return {};
    }
}

struct Description {
    std::string text;
    std::exception_ptr nested;
    bool is_standard = false;
};

Description describe(const std::exception_ptr& error) {
    Description found;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        found.text = known.what();
        found.is_standard = true;
        if (const auto* outer = dynamic_cast<const std::nested_exception*>(&known)) found.nested = outer->nested_ptr();
    } catch (const std::nested_exception& outer) {
        found.text = text_of_other(error);
        found.nested = outer.nested_ptr();
    } catch (...) {
        found.text = text_of_other(error);
    }
    return found;
}

// The registered type that takes the exception: its own if it is registered, else the last registered that it derives from.
const ExceptionDescriptor* encode_registered(Buffer& out, const std::exception_ptr& error) {
    auto types = registered_exceptions();
    const std::type_info* thrown = thrown_type(error);
    std::stable_partition(types.begin(), types.end(), [&](const auto* type) { return thrown == nullptr || *type->type != *thrown; });
    for (auto type = types.rbegin(); type != types.rend(); ++type) {
        Buffer bytes;
        try {
            if (!(*type)->encode(bytes, error)) continue;
        } catch (...) {
            continue;  // its own serialize failed: it travels as one of its bases
        }
        out.append(bytes.data(), bytes.size());
        return *type;
    }
    return nullptr;
}

void encode_exception(Buffer& out, const std::exception_ptr& error, int depth) {
    Buffer body, nested;
    Description description;
    Form form = Form::other;
    std::string name;
    if (error) {
        description = describe(error);
        if (const ExceptionDescriptor* type = encode_registered(body, error)) {
            form = Form::registered;
            name = type->type->name();
        } else if (description.is_standard) {
            form = Form::standard;
            encode_standard(body, error);
        }
        if (description.nested && depth < deepest_nesting) encode_exception(nested, description.nested, depth + 1);
    } else {
        description.text = "an empty exception_ptr";
    }
    wire::encode(out, form);
    wire::encode(out, type_name_of(error));
    wire::encode(out, description.text);
    wire::encode(out, static_cast<std::uint64_t>(nested.size()));
    out.append(nested.data(), nested.size());
    wire::encode(out, name);
    out.append(body.data(), body.size());
}

std::exception_ptr decode_registered(Reader& in, const std::string& name, const std::string& text, const RemoteInfo& origin, bool nested) {
    for (const ExceptionDescriptor* type : registered_exceptions())
        if (name == type->type->name()) return type->decode(in, text, origin, nested);
    return arrived(RemoteError(text, origin.type_name), text, origin, nested);
}

// rebuild(true) while `nested` is being handled, which is the only way the standard gives to set what is nested; without
// one, rebuild(false).
template <class Rebuild>
std::exception_ptr rebuild_around(const std::exception_ptr& nested, Rebuild&& rebuild) {
    if (!nested) return rebuild(false);
    try {
        std::rethrow_exception(nested);
    } catch (...) {
        return rebuild(true);
    }
}

std::exception_ptr decode(std::span<const std::byte> bytes, RemoteInfo origin, int depth) {
    Reader in(bytes);
    const auto form = in.read<std::uint8_t>();
    origin.type_name = in.read<std::string>();
    const auto text = in.read<std::string>();
    const auto inner = in.take(in.read_length());
    std::exception_ptr nested;
    if (!inner.empty() && depth < deepest_nesting) nested = decode(inner, origin, depth + 1);
    const auto name = in.read<std::string>();
    switch (static_cast<Form>(form)) {
        case Form::registered: return rebuild_around(nested, [&](bool inside) { return decode_registered(in, name, text, origin, inside); });
        case Form::standard: {
            const StandardBody body = decode_standard(in, text, origin);
            return rebuild_around(nested, body.rebuild);
        }
        case Form::other: {
            const std::string words = text.empty() ? "a task threw an exception of type " + origin.type_name
                                                   : "a task threw " + origin.type_name + ": " + text;
            return rebuild_around(nested, [&](bool inside) { return arrived(RemoteError(words, origin.type_name), words, origin, inside); });
        }
    }
    throw SerializationError("damaged data: an exception of unknown form " + std::to_string(form));
}

}  // namespace

void add_exception(const ExceptionDescriptor* descriptor) {
    if (descriptor == nullptr || descriptor->magic != ExceptionDescriptor::expected_magic)
        throw Error("a reference to a registered exception leads to something else");
    Registry& known = registry();
    std::lock_guard lock(known.mutex);
    const auto same = [&](const auto* type) { return *type->type == *descriptor->type; };
    if (std::none_of(known.types.begin(), known.types.end(), same)) known.types.push_back(descriptor);
}

std::vector<const ExceptionDescriptor*> registered_exceptions() {
    Registry& known = registry();
    std::lock_guard lock(known.mutex);
    return known.types;
}

std::size_t registered_count() {
    Registry& known = registry();
    std::lock_guard lock(known.mutex);
    return known.types.size();
}

std::string type_name_of(const std::exception_ptr& error) {
    if (const auto origin = remote_info(error)) return origin->type_name;
    const std::type_info* type = thrown_type(error);
    if (type == nullptr) return "unknown";
    const std::string name = demangled(type->name());
    // std::throw_with_nested throws a type of its own around the program's.
    constexpr std::string_view wrapper = "std::_Nested_exception<";
    if (name.starts_with(wrapper) && name.ends_with('>')) return name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    return name;
}

namespace {

// A RemoteError says what was thrown; for all others a word of ours.
std::string words_of(const std::exception_ptr& error, const std::string& text) {
    try {
        std::rethrow_exception(error);
    } catch (const RemoteError&) {
        return text;
    } catch (...) {
        return type_name_of(error) + (text.empty() ? "" : ": " + text);
    }
}

bool names_its_worker(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const WorkerLost&) {
        return true;
    } catch (const TaskTimeout&) {
        return true;
    } catch (const BrokenProcessPool&) {
        return true;
    } catch (...) {
        return false;
    }
}

std::string origin_of(const std::exception_ptr& error) {
    const auto origin = remote_info(error);
    if (!origin || origin->worker.pid == 0 || names_its_worker(error)) return {};
    std::string text = "\n  thrown";
    if (origin->item) text += " by item " + std::to_string(*origin->item);
    text += " in worker " + std::to_string(origin->worker.index) + " (pid " + std::to_string(origin->worker.pid) + " on " + origin->worker.host;
    if (origin->worker.rank >= 0) text += ", rank " + std::to_string(origin->worker.rank);
    return text + ")";
}

}  // namespace

std::string describe_for_people(const std::exception_ptr& error) {
    std::string all, origin;
    std::exception_ptr next = error;
    for (int depth = 0; next && depth <= deepest_nesting; ++depth) {
        const Description description = describe(next);
        all += (depth > 0 ? "\n  around " : "") + words_of(next, description.text);
        if (origin.empty()) origin = origin_of(next);
        next = description.nested;
    }
    return all + origin;
}

void encode_exception(Buffer& out, const std::exception_ptr& error) {
    const std::size_t begin = out.size();
    try {
        encode_exception(out, error, 0);
    } catch (...) {  // memory is short, say
        out.shrink(begin);
        encode_exception(out, std::make_exception_ptr(SerializationError("an exception could not be turned into bytes")), 0);
    }
}

std::exception_ptr decode_exception(std::span<const std::byte> bytes, RemoteInfo origin) {
    try {
        return decode(bytes, origin, 0);
    } catch (const std::exception& error) {
        const std::string text = std::string("an exception of a task arrived damaged: ") + error.what();
        return std::make_exception_ptr(Arrived<SerializationError>(SerializationError(text), text, std::move(origin)));
    } catch (...) {  // what a registered type's own serialize threw
        return std::current_exception();
    }
}

}  // namespace wire

const RemoteInfo* remote_info(const std::exception& error) noexcept {
    const auto* origin = dynamic_cast<const wire::Origin*>(&error);
    return origin != nullptr ? &origin->info() : nullptr;
}

std::optional<RemoteInfo> remote_info(std::exception_ptr error) {
    if (!error) return std::nullopt;
    try {
        std::rethrow_exception(error);
    } catch (const wire::Origin& origin) {
        return origin.info();
    } catch (...) {
        return std::nullopt;
    }
}

}  // namespace rankpool
