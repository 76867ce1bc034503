#include "wire/code_reference.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include <rankpool/error.hpp>
#include "wire/modules.hpp"

using rankpool::wire::code_reference;
using rankpool::wire::CodeReference;
using rankpool::wire::resolve;

namespace code_reference_test {

int function(int x) { return x + 1; }
extern const int constant[4];
const int constant[4] = {1, 2, 3, 4};
int variable = 5;

}  // namespace code_reference_test

namespace {

using namespace code_reference_test;

const void* address_of_function() { return reinterpret_cast<const void*>(&function); }

// std::terminate, in libstdc++ itself: its name here may stand for a jump in this program.
const void* address_in_library() {
    const void* address = dlsym(RTLD_DEFAULT, "_ZSt9terminatev");
    EXPECT_NE(address, nullptr);
    return address;
}

std::string text_of_refusal(const CodeReference& reference, std::size_t bytes = 1) {
    try {
        resolve(reference, bytes);
    } catch (const rankpool::Error& error) {
        return error.what();
    }
    ADD_FAILURE() << "resolved";
    return {};
}

TEST(CodeReference, AnAddressInTheProgramIsFoundAgain) {
    for (const void* address :
         {address_of_function(), static_cast<const void*>(constant), static_cast<const void*>(&variable)}) {
        const CodeReference reference = code_reference(address);
        EXPECT_EQ(resolve(reference, 1), address);
        EXPECT_EQ(reference.module_path, std::filesystem::read_symlink("/proc/self/exe"));
    }
}

TEST(CodeReference, AnAddressInASharedLibraryIsFoundAgain) {
    const CodeReference reference = code_reference(address_in_library());
    EXPECT_EQ(resolve(reference, 1), address_in_library());
    EXPECT_EQ(reference.module_path.substr(0, 1), "/") << reference.module_path;
    EXPECT_NE(reference.module_path.find("libstdc++"), std::string::npos) << reference.module_path;
    EXPECT_NE(reference.module_identity, code_reference(address_of_function()).module_identity);
}

TEST(CodeReference, TheOffsetCountsFromWhereTheModuleWasLoaded) {
    const auto in_program = code_reference(constant + 1);
    EXPECT_EQ(in_program.offset, code_reference(constant).offset + sizeof constant[0]);
    Dl_info info;
    ASSERT_NE(dladdr(address_in_library(), &info), 0);
    EXPECT_EQ(code_reference(address_in_library()).offset, reinterpret_cast<std::uintptr_t>(address_in_library()) -
                                                               reinterpret_cast<std::uintptr_t>(info.dli_fbase));
}

TEST(CodeReference, AnAddressInNoModuleIsRefused) {
    const auto heap = std::make_unique<int>(0);
    const int stack = 0;
    EXPECT_THROW(code_reference(heap.get()), rankpool::Error);
    EXPECT_THROW(code_reference(&stack), rankpool::Error);
    EXPECT_THROW(code_reference(nullptr), rankpool::Error);
}

TEST(CodeReference, AnOffsetOutsideOfTheModuleIsRefused) {
    for (const void* address : {address_of_function(), address_in_library()}) {
        CodeReference reference = code_reference(address);
        for (const std::uint64_t offset : {std::uint64_t{1} << 32, std::uint64_t{1} << 47, ~std::uint64_t{0},
                                           ~std::uint64_t{0} - reference.offset}) {
            reference.offset = offset;
            const std::string text = text_of_refusal(reference);
            EXPECT_NE(text.find("outside"), std::string::npos) << text;
            EXPECT_NE(text.find(reference.module_path), std::string::npos) << text;
        }
    }
}

TEST(CodeReference, MoreBytesThanTheSegmentHasAreRefused) {
    const CodeReference reference = code_reference(constant);
    EXPECT_EQ(resolve(reference, sizeof constant), static_cast<const void*>(constant));
    text_of_refusal(reference, std::size_t{1} << 32);
    text_of_refusal(reference, ~std::size_t{0});
}

TEST(CodeReference, TheWholeOfASegmentCanBeRead) {
    const auto modules = rankpool::wire::loaded_modules();
    const auto& segment = modules.front().segments.back();
    const CodeReference reference = code_reference(reinterpret_cast<const void*>(segment.begin));
    EXPECT_NO_THROW(resolve(reference, segment.end - segment.begin));
    text_of_refusal(reference, segment.end - segment.begin + 1);
}

TEST(CodeReference, AnotherBuildOfTheProgramIsRefusedByName) {
    CodeReference reference = code_reference(address_of_function());
    reference.module_identity = "0123456789abcdef0123456789abcdef01234567";
    const std::string text = text_of_refusal(reference);
    EXPECT_NE(text.find(reference.module_path), std::string::npos) << text;
    EXPECT_NE(text.find("another build"), std::string::npos) << text;
}

TEST(CodeReference, AnotherBuildOfALibraryIsRefusedByName) {
    CodeReference reference = code_reference(address_in_library());
    reference.module_identity = "0123456789abcdef0123456789abcdef01234567";
    const std::string text = text_of_refusal(reference);
    EXPECT_NE(text.find(reference.module_path), std::string::npos) << text;
    EXPECT_NE(text.find("another build"), std::string::npos) << text;
}

TEST(CodeReference, AModuleThatIsNotThereIsRefusedByName) {
    const std::string text = text_of_refusal({"0123456789abcdef", "/nowhere/libplugin.so", 16});
    EXPECT_NE(text.find("/nowhere/libplugin.so"), std::string::npos) << text;
}

TEST(CodeReference, AnUnknownModuleWithoutAPathIsRefused) {
    EXPECT_THROW(resolve({"0123456789abcdef", "", 16}, 1), rankpool::Error);
    EXPECT_THROW(resolve({"", "", 0}, 1), rankpool::Error);
}

TEST(BuildIdentity, IsTheSameEveryTimeAndNamesTheProgram) {
    const std::string identity = rankpool::wire::build_identity();
    EXPECT_FALSE(identity.empty());
    EXPECT_EQ(identity, rankpool::wire::build_identity());
    EXPECT_EQ(identity.rfind(code_reference(address_of_function()).module_identity, 0), 0u) << identity;
}

TEST(Modules, TheProgramIsFirst) {
    const auto modules = rankpool::wire::loaded_modules();
    ASSERT_GT(modules.size(), 1u);
    EXPECT_TRUE(modules.front().contains(reinterpret_cast<std::uintptr_t>(address_of_function())));
    EXPECT_FALSE(modules.front().contains(reinterpret_cast<std::uintptr_t>(address_in_library())));
}

TEST(Modules, AFileMappedAtAnAddressIsNamed) {
    EXPECT_NE(rankpool::wire::mapped_file(reinterpret_cast<std::uintptr_t>(address_in_library())).find("libstdc++"),
              std::string::npos);
    const auto heap = std::make_unique<int>(0);
    EXPECT_EQ(rankpool::wire::mapped_file(reinterpret_cast<std::uintptr_t>(heap.get())), "");
}

}  // namespace
