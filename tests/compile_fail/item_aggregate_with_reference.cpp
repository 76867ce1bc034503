// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

#include <vector>

struct Refers {
    const int& number;
};

void use(rankpool::Pool& pool, const std::vector<Refers>& rows) {
    pool.map([](const Refers& row) { return row.number; }, rows);
}
