#include "wire/type_names.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

namespace rankpool::wire {

std::string demangled(const char* name) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> words(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
    std::string text = words ? words.get() : name;
    constexpr std::pair<std::string_view, std::string_view> spellings[] = {
        {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"}, {"__cxx11::", ""}, {"[abi:cxx11]", ""},
        {"std::__ios_failure", "std::ios_base::failure"}};
    for (const auto& [from, to] : spellings)
        for (std::size_t at; (at = text.find(from)) != std::string::npos;) text.replace(at, from.size(), to);
    return text;
}

}  // namespace rankpool::wire
