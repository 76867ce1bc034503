// oneTBB's parallel_for over two existing vectors.
#include "peers/onetbb.hpp"
#include "map_ints/work.hpp"

int main(int argc, char** argv) {
    return bench::map_with_onetbb(argc, argv, bench::make_items(), bench::Square{}, bench::take_right);
}
