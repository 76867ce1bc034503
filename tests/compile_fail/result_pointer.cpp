// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

#include <vector>

void use(rankpool::Pool& pool) {
    const std::vector<int> numbers{1, 2};
    pool.map([](int number) { return new int(number); }, numbers);
}
