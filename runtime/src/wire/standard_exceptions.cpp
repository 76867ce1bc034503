#include "wire/standard_exceptions.hpp"

#include <any>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <system_error>
#include <typeinfo>
#include <variant>

#include <rankpool/error.hpp>
#include <rankpool/task/callable.hpp>

namespace rankpool::wire {
namespace {

// ---- error codes ----

// A category whose object this process does not have: it keeps the name and the words.
class ForeignCategory final : public std::error_category {
  public:
    ForeignCategory(std::string name, std::string words) : name_(std::move(name)), words_(std::move(words)) {}
    const char* name() const noexcept override { return name_.c_str(); }
    std::string message(int) const override { return words_; }

  private:
    std::string name_, words_;
};

// Categories are compared by address and must live for ever.
const std::error_category& foreign_category(const std::string& name, const std::string& words) {
    static std::mutex mutex;
    static auto* known = new std::map<std::pair<std::string, std::string>, std::unique_ptr<ForeignCategory>>;
    constexpr std::size_t most = 4096;
    std::lock_guard lock(mutex);
    if (known->size() >= most) return std::generic_category();
    auto& category = (*known)[{name, words}];
    if (!category) category = std::make_unique<ForeignCategory>(name, words);
    return *category;
}

const std::array<const std::error_category*, 4>& standard_categories() {
    static const std::array<const std::error_category*, 4> all{&std::generic_category(), &std::system_category(),
                                                               &std::iostream_category(), &std::future_category()};
    return all;
}

constexpr std::uint8_t by_reference = 254, foreign = 255;

// Of what is a category only if this word says so: until then it may be any readable address, in the gap that the address
// sanitizer leaves between two objects too.
__attribute__((no_sanitize("address"))) const void* first_word(const std::error_category& category) {
    return *reinterpret_cast<const void* const volatile*>(&category);
}

// A category of the program's own is a static object: it travels as its address, by module and offset, with the address
// of its virtual table, by which the other side sees whether its object has been constructed there.
void encode_code(Buffer& out, const std::error_code& code) {
    wire::encode(out, code.value());
    const auto& all = standard_categories();
    for (std::size_t i = 0; i < all.size(); ++i)
        if (*all[i] == code.category()) return wire::encode(out, static_cast<std::uint8_t>(i));
    Buffer reference;
    try {
        task::encode_code_address(reference, &code.category());
        task::encode_code_address(reference, first_word(code.category()));
    } catch (const Error&) {
        reference.clear();
    }
    wire::encode(out, reference.size() > 0 ? by_reference : foreign);
    wire::encode(out, std::string(code.category().name()));
    wire::encode(out, code.message());
    out.append(reference.data(), reference.size());
}

std::error_code decode_code(Reader& in) {
    const int value = in.read<int>();
    const auto which = in.read<std::uint8_t>();
    if (which < standard_categories().size()) return {value, *standard_categories()[which]};
    const auto name = in.read<std::string>(), words = in.read<std::string>();
    if (which == by_reference) {
        const void* category = task::decode_code_address(in);
        const void* table = task::decode_code_address(in);
        if (reinterpret_cast<std::uintptr_t>(category) % alignof(std::error_category) != 0) return {value, foreign_category(name, words)};
        const auto& object = *static_cast<const std::error_category*>(category);
        if (first_word(object) == table && object.name() == name) return {value, object};
    }
    return {value, foreign_category(name, words)};
}

// ---- the table ----

struct Entry {
    /// Appends the members and returns true when the exception is one of this type.
    bool (*encode)(Buffer& out, const std::exception& error);
    StandardBody (*decode)(Reader& in, const std::string& text, const RemoteInfo& origin);
};

// Types with nothing but their text, made from it or from nothing.
template <class E>
constexpr Entry plain{
    [](Buffer&, const std::exception& error) {
        if constexpr (std::is_same_v<E, std::exception>) {
            (void)error;
            return true;
        } else {
            return dynamic_cast<const E*>(&error) != nullptr;
        }
    },
    [](Reader&, const std::string& text, const RemoteInfo& origin) -> StandardBody {
        return {[=](bool nested) {
            if constexpr (std::is_constructible_v<E, const std::string&>)
                return arrived(E(text), text, origin, nested);
            else
                return arrived(E(), text, origin, nested);
        }};
    }};

// Types made from an error code.
template <class E, class Make>
StandardBody with_code(Reader& in, const std::string& text, const RemoteInfo& origin, Make make) {
    const std::error_code code = decode_code(in);
    return {[=](bool nested) { return arrived<E>(make(code, text), text, origin, nested); }};
}

template <class E>
bool encode_with_code(Buffer& out, const std::exception& error) {
    const auto* known = dynamic_cast<const E*>(&error);
    if (known == nullptr) return false;
    encode_code(out, known->code());
    return true;
}

constexpr Entry system_error{
    &encode_with_code<std::system_error>, [](Reader& in, const std::string& text, const RemoteInfo& origin) {
        return with_code<std::system_error>(in, text, origin, [](auto code, const auto&) { return std::system_error(code); });
    }};

constexpr Entry stream_failure{
    &encode_with_code<std::ios_base::failure>, [](Reader& in, const std::string& text, const RemoteInfo& origin) {
        return with_code<std::ios_base::failure>(in, text, origin, [](auto code, const auto& words) { return std::ios_base::failure(words, code); });
    }};

constexpr Entry future_error{
    &encode_with_code<std::future_error>, [](Reader& in, const std::string& text, const RemoteInfo& origin) {
        return with_code<std::future_error>(in, text, origin, [](auto code, const auto&) {
            return std::future_error(static_cast<std::future_errc>(code.value()));
        });
    }};

constexpr Entry filesystem_error{
    [](Buffer& out, const std::exception& error) {
        const auto* known = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
        if (known == nullptr) return false;
        encode_code(out, known->code());
        wire::encode(out, known->path1());
        wire::encode(out, known->path2());
        return true;
    },
    [](Reader& in, const std::string& text, const RemoteInfo& origin) -> StandardBody {
        const std::error_code code = decode_code(in);
        const auto first = in.read<std::filesystem::path>(), second = in.read<std::filesystem::path>();
        return {[=](bool nested) {
            return arrived(std::filesystem::filesystem_error(text, first, second, code), text, origin, nested);
        }};
    }};

constexpr Entry regex_error{
    [](Buffer& out, const std::exception& error) {
        const auto* known = dynamic_cast<const std::regex_error*>(&error);
        if (known != nullptr) wire::encode(out, static_cast<int>(known->code()));
        return known != nullptr;
    },
    [](Reader& in, const std::string& text, const RemoteInfo& origin) -> StandardBody {
        const int number = in.read<int>();
        // The library has codes of its own behind the last one; the enumeration can hold none beyond this.
        constexpr int most = static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::regex_constants::error_stack) + 1)) - 1;
        if (number < 0 || number > most)
            throw SerializationError("damaged data: a regex_error with the unknown code " + std::to_string(number));
        const auto code = static_cast<std::regex_constants::error_type>(number);
        return {[=](bool nested) { return arrived(std::regex_error(code), text, origin, nested); }};
    }};

constexpr Entry worker_lost{
    [](Buffer& out, const std::exception& error) {
        const auto* known = dynamic_cast<const WorkerLost*>(&error);
        if (known == nullptr) return false;
        wire::encode(out, known->signal());
        wire::encode(out, known->exit_code());
        wire::encode(out, known->item());
        wire::encode(out, known->worker());
        return true;
    },
    [](Reader& in, const std::string& text, const RemoteInfo& origin) -> StandardBody {
        const int signal = in.read<int>(), exit_code = in.read<int>();
        const auto item = in.read<std::optional<std::size_t>>();
        const auto worker = in.read<WorkerInfo>();
        return {[=](bool nested) { return arrived(WorkerLost(text, signal, exit_code, item, worker), text, origin, nested); }};
    }};

constexpr Entry remote_error{
    [](Buffer& out, const std::exception& error) {
        const auto* known = dynamic_cast<const RemoteError*>(&error);
        if (known != nullptr) wire::encode(out, known->type_name());
        return known != nullptr;
    },
    [](Reader& in, const std::string& text, const RemoteInfo& origin) -> StandardBody {
        const auto type_name = in.read<std::string>();
        return {[=](bool nested) { return arrived(RemoteError(text, type_name), text, origin, nested); }};
    }};

// Derived types before their bases: the first that fits is taken.
constexpr const Entry* table[] = {
    &worker_lost, &remote_error,
    &plain<TimeoutError>, &plain<CancelledError>, &plain<PoolClosed>, &plain<ExecutorShutdown>, &plain<TaskTimeout>,
    &plain<BrokenProcessPool>, &plain<SerializationError>, &plain<LaunchError>, &plain<MpiError>, &plain<CheckpointError>,
    &plain<Error>,
    &plain<std::bad_array_new_length>, &plain<std::bad_alloc>,
    &plain<std::bad_any_cast>, &plain<std::bad_cast>, &plain<std::bad_typeid>, &plain<std::bad_exception>,
    &plain<std::bad_function_call>, &plain<std::bad_optional_access>, &plain<std::bad_variant_access>, &plain<std::bad_weak_ptr>,
    &future_error, &plain<std::domain_error>, &plain<std::invalid_argument>, &plain<std::length_error>, &plain<std::out_of_range>,
    &plain<std::logic_error>,
    &filesystem_error, &stream_failure, &system_error, &regex_error,
    &plain<std::range_error>, &plain<std::overflow_error>, &plain<std::underflow_error>, &plain<std::runtime_error>,
    &plain<std::exception>,
};

}  // namespace

void encode_standard(Buffer& out, const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        for (std::uint32_t i = 0; i < std::size(table); ++i) {
            Buffer members;
            if (!table[i]->encode(members, known)) continue;
            wire::encode(out, i);
            out.append(members.data(), members.size());
            return;
        }
    }
}

StandardBody decode_standard(Reader& in, const std::string& text, const RemoteInfo& origin) {
    const auto index = in.read<std::uint32_t>();
    if (index >= std::size(table)) throw SerializationError("damaged data: a standard exception of unknown type " + std::to_string(index));
    return table[index]->decode(in, text, origin);
}

}  // namespace rankpool::wire
