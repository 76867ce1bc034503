// expect: rankpool: this function object or lambda cannot travel to a worker: its captures are not trivially copyable. Pass the data as items, or use a function object with serializable members.
#include <rankpool/rankpool.hpp>

#include <string>
#include <vector>

void use(rankpool::Pool& pool) {
    const std::string prefix = "a";
    const std::vector<int> numbers{1, 2};
    pool.map([prefix](int number) { return prefix + std::to_string(number); }, numbers);
}
