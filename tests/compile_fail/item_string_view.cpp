// expect: Send the value itself instead: std::string, std::vector, std::unique_ptr
#include <rankpool/rankpool.hpp>

#include <string_view>
#include <vector>

void use(rankpool::Pool& pool) {
    const std::vector<std::string_view> words{"a", "b"};
    pool.map([](std::string_view word) { return word.size(); }, words);
}
