// expect: rankpool: the function cannot be called with the range's items
#include <rankpool/rankpool.hpp>

#include <string>
#include <vector>

void use(rankpool::Pool& pool) {
    const std::vector<std::string> words{"a"};
    pool.map([](int number) { return number; }, words);
}
