// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

#include <vector>

struct Named {
    int number;
    const char* name;
};

void use(rankpool::Pool& pool) {
    const std::vector<Named> rows{{1, "a"}};
    pool.map([](const Named& row) { return row.number; }, rows);
}
