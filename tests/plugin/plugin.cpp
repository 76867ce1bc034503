// A plugin that the program knows nothing of when it starts.
#include <stdexcept>

#include <rankpool/rankpool.hpp>

extern "C" int plugin_cube(int x) { return x * x * x; }

extern "C" int plugin_map_inside() {
    rankpool::Pool pool(2);
    int sum = 0;
    for (const int value : pool.map([](int x) { return 10 * x; }, {1, 2, 3})) sum += value;
    return sum;
}
