#include <rankpool/remote.hpp>

#include <gtest/gtest.h>

#include <any>
#include <boost/serialization/string.hpp>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <ios>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "support/wire_values.hpp"

using rankpool::remote_info;
using rankpool::RemoteError;
using rankpool::RemoteInfo;
using wire_values::Bytes;

namespace exceptions_test {

struct OwnOutOfRange : std::out_of_range {
    using std::out_of_range::out_of_range;
};

struct NotStandard {
    int value = 0;
};

enum class Reason { unknown, known };

// Registered: a class that is no exception, a trivially copyable one, one with members and what(), and a base with a
// derived.
struct Code {
    int value = 0;
};

class Singular : public std::runtime_error {
  public:
    Singular() : std::runtime_error("a matrix is singular") {}
    Singular(int where, std::string of)
        : std::runtime_error("row " + std::to_string(where) + " is singular"), row(where), name(std::move(of)) {}
    int row = 0;
    std::string name;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& row& name;
    }
};

class Worse : public Singular {
  public:
    using Singular::Singular;
};

class Nearest : public Singular {
  public:
    Nearest() = default;
    Nearest(int where, double how_far) : Singular(where, "nearest"), distance(how_far) {}
    double distance = 0;
    template <class Archive>
    void serialize(Archive& archive, const unsigned version) {
        Singular::serialize(archive, version);
        archive& distance;
    }
};

class NotRegistered : public std::domain_error {
  public:
    explicit NotRegistered(int value) : std::domain_error("value " + std::to_string(value)) {}
};

// Its serialize fails: it must not take the whole call with it.
class CannotBeWritten : public std::range_error {
  public:
    CannotBeWritten() : std::range_error("cannot be written") {}
    template <class Archive>
    void serialize(Archive&, const unsigned) {
        throw std::logic_error("no");
    }
};

class OwnCategory : public std::error_category {
  public:
    const char* name() const noexcept override { return "own"; }
    std::string message(int value) const override { return "own message " + std::to_string(value); }
};

const OwnCategory& own_category() {
    static const OwnCategory category;
    return category;
}

}  // namespace exceptions_test

namespace {

using namespace exceptions_test;

const RemoteInfo origin{"", 17, {3, 8, 4711, "far", 2}, ""};

Bytes encoded(const std::exception_ptr& error) {
    rankpool::wire::Buffer buffer;
    rankpool::wire::encode_exception(buffer, error);
    const std::span<const std::byte> bytes(buffer);
    return {bytes.begin(), bytes.end()};
}

std::exception_ptr arrive(const std::exception_ptr& error) {
    return rankpool::wire::decode_exception(encoded(error), origin);
}

// Runs a task that throws, and what it threw through bytes.
template <class Task>
std::exception_ptr thrown_by(Task&& task) {
    try {
        task();
    } catch (...) {
        return arrive(std::current_exception());
    }
    ADD_FAILURE() << "nothing was thrown";
    return std::make_exception_ptr(std::logic_error("nothing was thrown"));
}

// Calls `check` with the exception, which must be an E.
template <class E, class Check>
void expect_caught_as(const std::exception_ptr& error, Check&& check) {
    try {
        std::rethrow_exception(error);
    } catch (const E& caught) {
        check(caught);
    } catch (...) {
        ADD_FAILURE() << "arrived as "
                      << (error.__cxa_exception_type() != nullptr ? error.__cxa_exception_type()->name() : "nothing");
    }
}

void expect_origin(const RemoteInfo* info, const std::string& type_name) {
    ASSERT_NE(info, nullptr) << "the origin is lost";
    EXPECT_EQ(info->type_name, type_name);
    EXPECT_EQ(info->item, origin.item);
    EXPECT_EQ(info->worker.index, origin.worker.index);
    EXPECT_EQ(info->worker.size, origin.worker.size);
    EXPECT_EQ(info->worker.pid, origin.worker.pid);
    EXPECT_EQ(info->worker.host, origin.worker.host);
    EXPECT_EQ(info->worker.rank, origin.worker.rank);
}

// Arrives as its own type (and as none derived from it: checked by the caller's Derived), with its text and its origin.
template <class E, class... Derived>
void expect_itself(const E& error, const std::string& type_name) {
    SCOPED_TRACE(type_name);
    const std::exception_ptr arrived = arrive(std::make_exception_ptr(error));
    expect_caught_as<E>(arrived, [&](const E& caught) {
        EXPECT_STREQ(caught.what(), error.what());
        expect_origin(remote_info(caught), type_name);
        EXPECT_TRUE(((dynamic_cast<const Derived*>(&static_cast<const std::exception&>(caught)) == nullptr) && ...));
    });
    const auto info = remote_info(arrived);
    ASSERT_TRUE(info.has_value());
    expect_origin(&*info, type_name);
}

// ---- standard exceptions ----

TEST(StandardExceptions, ThoseOfTheLanguageArrive) {
    expect_itself<std::exception, std::bad_alloc, std::logic_error, std::runtime_error>(std::exception(),
                                                                                        "std::exception");
    expect_itself<std::bad_alloc, std::bad_array_new_length>(std::bad_alloc(), "std::bad_alloc");
    expect_itself(std::bad_array_new_length(), "std::bad_array_new_length");
    expect_itself<std::bad_cast, std::bad_any_cast>(std::bad_cast(), "std::bad_cast");
    expect_itself(std::bad_typeid(), "std::bad_typeid");
    expect_itself(std::bad_exception(), "std::bad_exception");
}

TEST(StandardExceptions, ThoseOfTheLibrarysOwnFailuresArrive) {
    expect_itself(std::bad_function_call(), "std::bad_function_call");
    expect_itself(std::bad_optional_access(), "std::bad_optional_access");
    expect_itself(std::bad_variant_access(), "std::bad_variant_access");
    expect_itself(std::bad_weak_ptr(), "std::bad_weak_ptr");
    expect_itself(std::bad_any_cast(), "std::bad_any_cast");
}

TEST(StandardExceptions, LogicErrorAndItsFourArrive) {
    expect_itself<std::logic_error, std::domain_error, std::invalid_argument, std::length_error, std::out_of_range>(
        std::logic_error("a"), "std::logic_error");
    expect_itself(std::domain_error("b"), "std::domain_error");
    expect_itself(std::invalid_argument("c"), "std::invalid_argument");
    expect_itself(std::length_error("d"), "std::length_error");
    expect_itself(std::out_of_range("e"), "std::out_of_range");
}

TEST(StandardExceptions, RuntimeErrorAndItsThreeArrive) {
    expect_itself<std::runtime_error, std::range_error, std::overflow_error, std::underflow_error, std::system_error,
                  std::regex_error, rankpool::Error>(std::runtime_error("a"), "std::runtime_error");
    expect_itself(std::range_error("b"), "std::range_error");
    expect_itself(std::overflow_error("c"), "std::overflow_error");
    expect_itself(std::underflow_error("d"), "std::underflow_error");
}

TEST(StandardExceptions, TheyArriveAsTheLibraryThrowsThem) {
    expect_caught_as<std::out_of_range>(thrown_by([] { (void)std::vector<int>().at(5); }), [](const auto& error) {
        EXPECT_NE(std::string(error.what()).find("5"), std::string::npos);
    });
    expect_caught_as<std::bad_variant_access>(thrown_by([] { (void)std::get<0>(std::variant<int, double>(1.5)); }),
                                              [](const auto& error) {
                                                  EXPECT_NE(std::string(error.what()), std::bad_variant_access().what())
                                                      << "the text of the one that was thrown";
                                              });
    expect_caught_as<std::bad_optional_access>(thrown_by([] { (void)std::optional<int>().value(); }),
                                               [](const auto&) {});
    expect_caught_as<std::bad_any_cast>(thrown_by([] { (void)std::any_cast<int>(std::any(1.5)); }), [](const auto&) {});
    expect_caught_as<std::bad_function_call>(thrown_by([] { std::function<void()>()(); }), [](const auto&) {});
    expect_caught_as<std::bad_weak_ptr>(thrown_by([] { (void)std::shared_ptr<int>(std::weak_ptr<int>()); }),
                                        [](const auto&) {});
    expect_caught_as<std::invalid_argument>(thrown_by([] { (void)std::stoi("x"); }),
                                            [](const auto& error) { EXPECT_STREQ(error.what(), "stoi"); });
}

TEST(StandardExceptions, TextsOfAnyLengthArrive) {
    expect_itself(std::runtime_error(""), "std::runtime_error");
    expect_itself(std::runtime_error(std::string(1 << 20, 'x')), "std::runtime_error");
    expect_itself(std::runtime_error("\xff\xfe no UTF-8 \x80"), "std::runtime_error");
}

TEST(StandardExceptions, CodesOfFutureAndRegexErrorsArrive) {
    expect_caught_as<std::future_error>(
        thrown_by([] {
            std::promise<int> promise;
            (void)promise.get_future();
            (void)promise.get_future();
        }),
        [](const std::future_error& error) {
            EXPECT_EQ(error.code(), std::future_errc::future_already_retrieved);
            EXPECT_STREQ(error.what(), std::future_error(std::future_errc::future_already_retrieved).what());
            expect_origin(remote_info(error), "std::future_error");
        });
    const std::regex_error unbalanced(std::regex_constants::error_paren);
    expect_itself(unbalanced, "std::regex_error");
    expect_caught_as<std::regex_error>(arrive(std::make_exception_ptr(unbalanced)), [](const std::regex_error& error) {
        EXPECT_EQ(error.code(), std::regex_constants::error_paren);
    });
}

// ---- error codes ----

TEST(ErrorCodes, ValueAndCategoryOfASystemErrorArrive) {
    const auto expect_code = [](const std::error_code& code) {
        const std::system_error error(code, "opening");
        expect_itself<std::system_error, std::ios_base::failure, std::filesystem::filesystem_error>(
            error, "std::system_error");
        expect_caught_as<std::system_error>(arrive(std::make_exception_ptr(error)),
                                            [&](const std::system_error& caught) {
                                                EXPECT_EQ(caught.code(), code);
                                                EXPECT_EQ(&caught.code().category(), &code.category());
                                                EXPECT_EQ(caught.code().message(), code.message());
                                            });
    };
    expect_code(std::make_error_code(std::errc::no_such_file_or_directory));
    expect_code(std::error_code(ENOSPC, std::system_category()));
    expect_code(std::make_error_code(std::io_errc::stream));
    expect_code(std::error_code(5, own_category()));
    expect_code(std::error_code(-1, own_category()));
}

TEST(ErrorCodes, ACategoryWhoseObjectOthersCannotReachKeepsNameAndWords) {
    const auto category = std::make_unique<OwnCategory>();  // no static object: its address is no module's
    const std::system_error error(std::error_code(3, *category), "context");
    expect_caught_as<std::system_error>(arrive(std::make_exception_ptr(error)), [&](const std::system_error& caught) {
        EXPECT_NE(&caught.code().category(), category.get());
        EXPECT_EQ(caught.code().value(), 3);
        EXPECT_STREQ(caught.code().category().name(), "own");
        EXPECT_EQ(caught.code().message(), "own message 3");
        EXPECT_STREQ(caught.what(), error.what());
    });
}

TEST(ErrorCodes, ConditionsStillCompare) {
    expect_caught_as<std::system_error>(
        arrive(std::make_exception_ptr(std::system_error(ENOENT, std::system_category()))),
        [](const std::system_error& error) { EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory); });
}

TEST(ErrorCodes, StreamFailuresArrive) {
    expect_itself<std::ios_base::failure>(std::ios_base::failure("reading", std::make_error_code(std::io_errc::stream)),
                                          "std::ios_base::failure");
    expect_caught_as<std::ios_base::failure>(thrown_by([] {
                                                 std::ifstream in;
                                                 in.exceptions(std::ios::failbit);
                                                 in.open("/nowhere/at/all");
                                             }),
                                             [](const std::ios_base::failure& error) {
                                                 EXPECT_EQ(error.code(), std::io_errc::stream);
                                                 expect_origin(remote_info(error), "std::ios_base::failure");
                                             });
}

TEST(ErrorCodes, BothPathsOfAFilesystemErrorArrive) {
    const std::filesystem::filesystem_error error("renaming", "/from here", "/to/there",
                                                  std::make_error_code(std::errc::permission_denied));
    expect_itself(error, "std::filesystem::filesystem_error");
    expect_caught_as<std::filesystem::filesystem_error>(arrive(std::make_exception_ptr(error)), [](const auto& caught) {
        EXPECT_EQ(caught.path1(), "/from here");
        EXPECT_EQ(caught.path2(), "/to/there");
        EXPECT_EQ(caught.code(), std::errc::permission_denied);
    });
    expect_caught_as<std::filesystem::filesystem_error>(
        thrown_by([] { (void)std::filesystem::file_size("/nowhere/at/all"); }), [](const auto& caught) {
            EXPECT_EQ(caught.path1(), "/nowhere/at/all");
            EXPECT_TRUE(caught.path2().empty());
            EXPECT_EQ(caught.code(), std::errc::no_such_file_or_directory);
        });
}

// ---- derived and foreign types ----

TEST(ForeignExceptions, ADerivedTypeArrivesAsItsBaseWithItsOwnName) {
    expect_caught_as<std::out_of_range>(arrive(std::make_exception_ptr(OwnOutOfRange("item 4"))),
                                        [](const std::out_of_range& error) {
                                            EXPECT_STREQ(error.what(), "item 4");
                                            EXPECT_EQ(dynamic_cast<const OwnOutOfRange*>(&error), nullptr);
                                            expect_origin(remote_info(error), "exceptions_test::OwnOutOfRange");
                                        });
}

TEST(ForeignExceptions, WhatIsNoStandardExceptionArrivesAsRemoteError) {
    const auto expect_remote = [](const std::exception_ptr& arrived, const std::string& type_name,
                                  const std::string& text) {
        SCOPED_TRACE(type_name);
        expect_caught_as<RemoteError>(arrived, [&](const RemoteError& error) {
            EXPECT_EQ(error.type_name(), type_name);
            EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
            EXPECT_NE(std::string(error.what()).find(type_name), std::string::npos) << error.what();
            expect_origin(remote_info(error), type_name);
        });
    };
    expect_remote(thrown_by([] { throw 42; }), "int", "42");
    expect_remote(thrown_by([] { throw "a text"; }), "char const*", "a text");
    expect_remote(thrown_by([] { throw std::string("words"); }), "std::string", "words");
    expect_remote(thrown_by([] { throw 2.5; }), "double", "2.5");
    expect_remote(thrown_by([] { throw NotStandard{3}; }), "exceptions_test::NotStandard", "");
    expect_remote(thrown_by([] { throw Reason::known; }), "exceptions_test::Reason", "");
}

TEST(ForeignExceptions, AnEmptyPointerArrivesAsSomeError) {
    const std::exception_ptr arrived = arrive(nullptr);
    ASSERT_NE(arrived, nullptr);
    expect_caught_as<RemoteError>(arrived, [](const RemoteError& error) { EXPECT_STRNE(error.what(), ""); });
}

// ---- nested ----

void throw_nested(int depth) {
    try {
        if (depth > 1) throw_nested(depth - 1);
        throw std::out_of_range("level 0");
    } catch (...) {
        std::throw_with_nested(std::runtime_error("level " + std::to_string(depth)));
    }
}

TEST(NestedExceptions, ThreeDeepArriveAndCanBeUnwrapped) {
    const std::exception_ptr arrived = thrown_by([] {
        try {
            try {
                throw std::out_of_range("innermost");
            } catch (...) {
                std::throw_with_nested(std::system_error(std::make_error_code(std::errc::timed_out), "middle"));
            }
        } catch (...) {
            std::throw_with_nested(std::runtime_error("outermost"));
        }
    });
    expect_caught_as<std::runtime_error>(arrived, [](const std::runtime_error& outermost) {
        EXPECT_STREQ(outermost.what(), "outermost");
        expect_origin(remote_info(outermost), "std::runtime_error");
        try {
            std::rethrow_if_nested(outermost);
            ADD_FAILURE() << "nothing nested in the outermost";
        } catch (const std::system_error& middle) {
            EXPECT_EQ(middle.code(), std::errc::timed_out);
            EXPECT_EQ(std::string(middle.what()).rfind("middle", 0), 0u) << middle.what();
            expect_origin(remote_info(middle), "std::system_error");
            try {
                std::rethrow_if_nested(middle);
                ADD_FAILURE() << "nothing nested in the middle";
            } catch (const std::out_of_range& innermost) {
                EXPECT_STREQ(innermost.what(), "innermost");
                expect_origin(remote_info(innermost), "std::out_of_range");
                EXPECT_NO_THROW(std::rethrow_if_nested(innermost));
            }
        }
    });
}

TEST(NestedExceptions, AForeignOneInsideArrivesAsRemoteError) {
    const std::exception_ptr arrived = thrown_by([] {
        try {
            throw 42;
        } catch (...) {
            std::throw_with_nested(std::logic_error("outer"));
        }
    });
    expect_caught_as<std::logic_error>(
        arrived, [](const std::logic_error& outer) { EXPECT_THROW(std::rethrow_if_nested(outer), RemoteError); });
}

TEST(NestedExceptions, AroundARegisteredTypeTheyArrive) {
    rankpool::register_exception<Singular>();
    const std::exception_ptr arrived = thrown_by([] {
        try {
            throw std::out_of_range("inner");
        } catch (...) {
            std::throw_with_nested(Singular(3, "outer"));
        }
    });
    expect_caught_as<Singular>(arrived, [](const Singular& outer) {
        EXPECT_EQ(outer.row, 3);
        EXPECT_THROW(std::rethrow_if_nested(outer), std::out_of_range);
    });
}

TEST(NestedExceptions, AChainWithoutEndIsCutOff) {
    const std::exception_ptr arrived = thrown_by([] { throw_nested(1000); });
    int depth = 0;
    for (std::exception_ptr error = arrived; error != nullptr; ++depth) {
        try {
            std::rethrow_exception(std::exchange(error, nullptr));
        } catch (const std::exception& caught) {
            if (depth == 0) {
                EXPECT_STREQ(caught.what(), "level 1000");
            }
            if (const auto* nested = dynamic_cast<const std::nested_exception*>(&caught)) error = nested->nested_ptr();
        }
    }
    EXPECT_GE(depth, 10);
    EXPECT_LE(depth, 1001);
}

// ---- registered types ----

TEST(RegisteredExceptions, ArriveAsThemselvesWithTheirMembersAndText) {
    rankpool::register_exception<Singular>();
    expect_caught_as<Singular>(arrive(std::make_exception_ptr(Singular(5, "m"))), [](const Singular& error) {
        EXPECT_EQ(error.row, 5);
        EXPECT_EQ(error.name, "m");
        EXPECT_STREQ(error.what(), "row 5 is singular");
        expect_origin(remote_info(error), "exceptions_test::Singular");
    });
}

TEST(RegisteredExceptions, ADerivedTypeThatIsNotRegisteredArrivesAsItsRegisteredBase) {
    rankpool::register_exception<Singular>();
    expect_caught_as<Singular>(arrive(std::make_exception_ptr(Worse(6, "w"))), [](const Singular& error) {
        EXPECT_EQ(error.row, 6);
        EXPECT_STREQ(error.what(), "row 6 is singular");
        expect_origin(remote_info(error), "exceptions_test::Worse");
    });
}

TEST(RegisteredExceptions, ADerivedTypeArrivesAsItselfWhateverWasRegisteredFirst) {
    rankpool::register_exception<Nearest>();
    rankpool::register_exception<Singular>();
    rankpool::register_exception<Nearest>();
    expect_caught_as<Nearest>(arrive(std::make_exception_ptr(Nearest(7, 0.25))), [](const Nearest& error) {
        EXPECT_EQ(error.row, 7);
        EXPECT_EQ(error.distance, 0.25);
    });
    expect_caught_as<Singular>(arrive(std::make_exception_ptr(Singular(8, "base"))),
                               [](const Singular& error) { EXPECT_EQ(dynamic_cast<const Nearest*>(&error), nullptr); });
}

TEST(RegisteredExceptions, ClassesThatAreNoExceptionsArrive) {
    rankpool::register_exception<Code>();
    const std::exception_ptr arrived = arrive(std::make_exception_ptr(Code{9}));
    expect_caught_as<Code>(arrived, [](const Code& code) { EXPECT_EQ(code.value, 9); });
    const auto info = remote_info(arrived);
    ASSERT_TRUE(info.has_value());
    expect_origin(&*info, "exceptions_test::Code");
}

TEST(RegisteredExceptions, RegisteringTwiceIsOnce) {
    rankpool::register_exception<Singular>();
    const std::size_t count = rankpool::wire::registered_count();
    rankpool::register_exception<Singular>();
    EXPECT_EQ(rankpool::wire::registered_count(), count);
}

TEST(RegisteredExceptions, OneThatIsNotRegisteredArrivesAsItsStandardBase) {
    expect_caught_as<std::domain_error>(arrive(std::make_exception_ptr(NotRegistered(4))),
                                        [](const std::domain_error& error) {
                                            EXPECT_STREQ(error.what(), "value 4");
                                            expect_origin(remote_info(error), "exceptions_test::NotRegistered");
                                        });
}

TEST(RegisteredExceptions, OneThatCannotBeWrittenArrivesAsItsStandardBase) {
    rankpool::register_exception<CannotBeWritten>();
    expect_caught_as<std::range_error>(
        arrive(std::make_exception_ptr(CannotBeWritten())),
        [](const std::range_error& error) { EXPECT_STREQ(error.what(), "cannot be written"); });
}

// ---- the library's own ----

TEST(OwnErrors, AllArriveAsThemselves) {
    expect_itself<rankpool::Error, rankpool::TimeoutError, RemoteError, rankpool::WorkerLost>(rankpool::Error("a"),
                                                                                              "rankpool::Error");
    expect_itself(rankpool::TimeoutError("b"), "rankpool::TimeoutError");
    expect_itself(rankpool::CancelledError("c"), "rankpool::CancelledError");
    expect_itself(rankpool::PoolClosed("d"), "rankpool::PoolClosed");
    expect_itself(rankpool::ExecutorShutdown("e"), "rankpool::ExecutorShutdown");
    expect_itself(rankpool::TaskTimeout("f"), "rankpool::TaskTimeout");
    expect_itself(rankpool::BrokenProcessPool("g"), "rankpool::BrokenProcessPool");
    expect_itself(rankpool::SerializationError("h"), "rankpool::SerializationError");
    expect_itself(rankpool::LaunchError("i"), "rankpool::LaunchError");
    expect_itself(rankpool::MpiError("j"), "rankpool::MpiError");
    expect_itself(rankpool::CheckpointError("k"), "rankpool::CheckpointError");
    expect_itself(rankpool::WorkerLost("l"), "rankpool::WorkerLost");
    expect_itself(RemoteError("m"), "rankpool::RemoteError");
}

TEST(OwnErrors, AllThatAWorkerLostKnowsArrives) {
    const rankpool::WorkerLost error("worker 1 was lost", SIGKILL, 9, 12, {1, 4, 99, "node7", 5});
    expect_itself(error, "rankpool::WorkerLost");
    expect_caught_as<rankpool::WorkerLost>(arrive(std::make_exception_ptr(error)),
                                           [](const rankpool::WorkerLost& caught) {
                                               EXPECT_EQ(caught.signal(), SIGKILL);
                                               EXPECT_EQ(caught.exit_code(), 9);
                                               EXPECT_EQ(caught.item(), std::optional<std::size_t>(12));
                                               EXPECT_EQ(caught.worker().index, 1);
                                               EXPECT_EQ(caught.worker().size, 4);
                                               EXPECT_EQ(caught.worker().pid, 99);
                                               EXPECT_EQ(caught.worker().host, "node7");
                                               EXPECT_EQ(caught.worker().rank, 5);
                                           });
    expect_caught_as<rankpool::WorkerLost>(
        arrive(std::make_exception_ptr(rankpool::WorkerLost("w", 0, 3, std::nullopt, {}))),
        [](const rankpool::WorkerLost& caught) { EXPECT_FALSE(caught.item().has_value()); });
}

TEST(OwnErrors, ARemoteErrorKeepsTheTypeThatWasThrown) {
    expect_caught_as<RemoteError>(arrive(std::make_exception_ptr(RemoteError("text", "their::Type"))),
                                  [](const RemoteError& error) { EXPECT_EQ(error.type_name(), "their::Type"); });
}

// ---- origins ----

TEST(RemoteInfo, IsEmptyForExceptionsOfThisProcess) {
    const std::runtime_error local("local");
    EXPECT_EQ(remote_info(local), nullptr);
    EXPECT_FALSE(remote_info(std::make_exception_ptr(local)).has_value());
    EXPECT_FALSE(remote_info(std::make_exception_ptr(42)).has_value());
    EXPECT_FALSE(remote_info(std::exception_ptr()).has_value());
}

TEST(RemoteInfo, OutlivesTheHandlerWithTheException) {
    const std::exception_ptr arrived = arrive(std::make_exception_ptr(std::runtime_error("a")));
    const RemoteInfo* info = nullptr;
    try {
        std::rethrow_exception(arrived);
    } catch (const std::exception& error) {
        info = remote_info(error);
    }
    expect_origin(info, "std::runtime_error");
}

TEST(RemoteInfo, NamesTheFirstTypeAfterASecondJourney) {
    const std::exception_ptr twice = arrive(arrive(std::make_exception_ptr(OwnOutOfRange("x"))));
    expect_caught_as<std::out_of_range>(twice, [](const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "x");
        expect_origin(remote_info(error), "exceptions_test::OwnOutOfRange");
    });
    rankpool::register_exception<Singular>();
    expect_caught_as<Singular>(arrive(arrive(std::make_exception_ptr(Singular(1, "n")))), [](const Singular& error) {
        EXPECT_EQ(error.name, "n");
        expect_origin(remote_info(error), "exceptions_test::Singular");
    });
}

TEST(RemoteInfo, OfAnErrorWithoutAnItemHasNone) {
    const auto arrived =
        rankpool::wire::decode_exception(encoded(std::make_exception_ptr(std::runtime_error("a"))), {});
    const auto info = remote_info(arrived);
    ASSERT_TRUE(info.has_value());
    EXPECT_FALSE(info->item.has_value());
}

// ---- damage ----

TEST(ExceptionDamage, PiecesAndChangedBytesAreSomeException) {
    rankpool::register_exception<Singular>();
    std::vector<std::exception_ptr> errors{
        std::make_exception_ptr(std::runtime_error("text")),
        std::make_exception_ptr(std::system_error(std::error_code(5, own_category()), "own")),
        std::make_exception_ptr(
            std::filesystem::filesystem_error("f", "a", "b", std::make_error_code(std::errc::timed_out))),
        std::make_exception_ptr(std::regex_error(std::regex_constants::error_brack)),
        std::make_exception_ptr(rankpool::WorkerLost("w", 9, 0, 3, {1, 2, 3, "h", 4})),
        std::make_exception_ptr(RemoteError("r", "t")),
        std::make_exception_ptr(Singular(4, "name")),
        std::make_exception_ptr(42),
    };
    try {
        throw_nested(3);
    } catch (...) {
        errors.push_back(std::current_exception());
    }
    const auto decodes_to_something = [](const Bytes& bytes) {
        std::exception_ptr arrived;
        const bool threw = wire_values::refuses(
            bytes, [&](const Bytes& damaged) { arrived = rankpool::wire::decode_exception(damaged, origin); });
        return threw || arrived != nullptr;
    };
    for (const std::exception_ptr& error : errors) {
        const Bytes bytes = encoded(error);
        for (std::size_t length = 0; length < bytes.size(); ++length)
            EXPECT_TRUE(decodes_to_something(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length))))
                << length;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            Bytes changed = bytes;
            changed[i] ^= std::byte{0xff};
            EXPECT_TRUE(decodes_to_something(changed)) << "byte " << i;
        }
    }
}

TEST(ExceptionDamage, TheErrorSaysThatItArrivedDamaged) {
    Bytes bytes = encoded(std::make_exception_ptr(std::runtime_error("text")));
    bytes.resize(bytes.size() / 2);
    expect_caught_as<rankpool::SerializationError>(
        rankpool::wire::decode_exception(bytes, origin), [](const rankpool::SerializationError& error) {
            EXPECT_NE(std::string(error.what()).find("damaged"), std::string::npos) << error.what();
            EXPECT_NE(remote_info(error), nullptr);
        });
}

TEST(ForPeople, TheValueAndWhatIsNested) {
    const auto describe = [](const auto& throws) {
        try {
            throws();
        } catch (...) {
            return rankpool::wire::describe_for_people(std::current_exception());
        }
        return std::string();
    };
    EXPECT_EQ(describe([] { throw 42; }), "int: 42");
    EXPECT_EQ(describe([] { throw NotStandard{3}; }), "exceptions_test::NotStandard");
    EXPECT_EQ(describe([] {
                  try {
                      throw std::out_of_range("row 7");
                  } catch (...) {
                      std::throw_with_nested(std::runtime_error("cannot invert"));
                  }
              }),
              "std::runtime_error: cannot invert\n  around std::out_of_range: row 7");
}

}  // namespace
