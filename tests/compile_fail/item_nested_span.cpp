// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

#include <optional>
#include <span>
#include <utility>
#include <vector>

void use(rankpool::Pool& pool) {
    const std::vector<std::pair<int, std::optional<std::span<const int>>>> rows;
    pool.map([](const auto& row) { return row.first; }, rows);
}
