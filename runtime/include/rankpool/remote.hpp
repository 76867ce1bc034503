// Errors of a task as they arrive here, and where they came from.
//
//     struct Singular : std::runtime_error {                     // a type of the program's own
//         int row = 0;
//         Singular() : std::runtime_error("singular matrix") {}
//         template <class Archive> void serialize(Archive& archive, unsigned) { archive & row; }
//     };
//     rankpool::register_exception<Singular>();                  // it arrives as itself
//     try {
//         pool.map(invert, matrices);
//     } catch (const Singular& error) {
//         if (const rankpool::RemoteInfo* info = rankpool::remote_info(error))
//             std::cerr << "item " << *info->item << " on " << info->worker.host << ": row " << error.row << '\n';
//     }
//
// Standard exceptions, and this library's own, arrive as their own type without being registered; a type derived from
// one arrives as that base; everything else, `throw 42` too, as RemoteError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include <rankpool/transferable.hpp>
#include <rankpool/wire/archive.hpp>
#include <rankpool/worker.hpp>

namespace rankpool {

/// Where an exception was thrown.
struct RemoteInfo {
    std::string type_name;            ///< the type that was thrown, as the program spells it
    std::optional<std::size_t> item;  ///< index of the item, where one was being run
    WorkerInfo worker;
    std::string backtrace;            ///< may be empty
};

/// The origin of an exception that a task threw; null when it was thrown in this process. Points into the exception.
/// Local.
const RemoteInfo* remote_info(const std::exception& error) noexcept;
/// The same for any exception, registered types that do not derive from std::exception included. Local.
std::optional<RemoteInfo> remote_info(std::exception_ptr error);

namespace wire {

/// How a registered exception travels: constant data in read-only memory, found in other processes by module and offset.
struct ExceptionDescriptor {
    static constexpr std::uint64_t expected_magic = 0x6e6f6974'70656378;  // "xception"

    std::uint64_t magic = expected_magic;
    const std::type_info* type = nullptr;
    /// Appends the exception and returns true when it is one of this type, or derived from it.
    bool (*encode)(Buffer& out, const std::exception_ptr& error) = nullptr;
    /// `nested`: with the exception that is being handled nested inside.
    std::exception_ptr (*decode)(Reader& in, const std::string& text, RemoteInfo origin, bool nested) = nullptr;
};

/// Makes a type known in this process. A second time does nothing.
void add_exception(const ExceptionDescriptor* descriptor);
std::vector<const ExceptionDescriptor*> registered_exceptions();
std::size_t registered_count();

/// What an exception that arrived carries besides being what it is.
class Origin {
  public:
    explicit Origin(RemoteInfo info) : info_(std::move(info)) {}
    virtual ~Origin() = default;
    const RemoteInfo& info() const noexcept { return info_; }

  private:
    RemoteInfo info_;
};

/// An E that came from elsewhere: caught as E, says what the original said.
template <class E>
class Arrived : public E, public Origin {
  public:
    Arrived(E&& error, std::string text, RemoteInfo info)
        : E(std::move(error)), Origin(std::move(info)), text_(std::move(text)) {}
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    std::string text_;
};
template <class E>
    requires(!std::is_base_of_v<std::exception, E>)
class Arrived<E> : public E, public Origin {
  public:
    Arrived(E&& error, const std::string&, RemoteInfo info) : E(std::move(error)), Origin(std::move(info)) {}
};

template <class E>
class NestedArrived : public Arrived<E>, public std::nested_exception {
  public:
    using Arrived<E>::Arrived;
};

/// With the origin, and with the exception that is being handled nested inside where that is wanted.
template <class E>
std::exception_ptr arrived(E error, const std::string& text, const RemoteInfo& origin, bool nested) {
    if constexpr (!std::is_base_of_v<std::nested_exception, E>)
        if (nested) return std::make_exception_ptr(NestedArrived<E>(std::move(error), text, origin));
    return std::make_exception_ptr(Arrived<E>(std::move(error), text, origin));
}

template <class E>
struct TypedException {
    static bool encode(Buffer& out, const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const E& known) {
            wire::encode(out, known);
            return true;
        } catch (...) {
            return false;
        }
    }
    static std::exception_ptr decode(Reader& in, const std::string& text, RemoteInfo origin, bool nested) {
        E error = in.read<E>();
        if constexpr (std::is_class_v<E> && !std::is_final_v<E>)
            return arrived(std::move(error), text, origin, nested);
        else
            return std::make_exception_ptr(std::move(error));  // cannot be derived from: arrives without its origin
    }
    static constexpr ExceptionDescriptor descriptor{.type = &typeid(E), .encode = encode, .decode = decode};
};

/// Appends an exception; whatever it is, this succeeds.
void encode_exception(Buffer& out, const std::exception_ptr& error);
/// The exception again. `origin` says where it came from; its type_name is filled in here. Bytes that are no exception
/// become a SerializationError.
std::exception_ptr decode_exception(std::span<const std::byte> bytes, RemoteInfo origin);
/// The type of an exception as the program spells it; of one that arrived, the original's.
std::string type_name_of(const std::exception_ptr& error);
/// "type: text", a line more for each exception that it is nested around, and one for the worker that threw it.
std::string describe_for_people(const std::exception_ptr& error);

}  // namespace wire

/// From now on exceptions of type E (transferable, copyable) that a task throws arrive as E, with their members, and
/// what() says what it said there. At any time before the call; once is enough. A type derived from E that is not
/// registered itself arrives as E. Local.
template <class E>
void register_exception() {
    static_assert(std::is_same_v<E, std::decay_t<E>>, "rankpool: register_exception wants the plain type");
    wire::require_transferable<E>();
    wire::add_exception(&wire::TypedException<E>::descriptor);
}

}  // namespace rankpool
