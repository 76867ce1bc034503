// expect: Send the value itself instead: std::string, std::vector, std::unique_ptr
#include <rankpool/rankpool.hpp>

#include <string>
#include <string_view>
#include <vector>

void use(rankpool::Pool& pool) {
    const std::vector<std::string> words{"a"};
    pool.map([](const std::string& word) { return std::string_view(word); }, words);
}
