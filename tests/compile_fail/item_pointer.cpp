// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

#include <cstring>
#include <vector>

void use(rankpool::Pool& pool) {
    const std::vector<const char*> words{"a", "b"};
    pool.map([](const char* word) { return std::strlen(word); }, words);
}
