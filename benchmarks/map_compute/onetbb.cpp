// oneTBB's parallel_for over two existing vectors.
#include "peers/onetbb.hpp"
#include "map_compute/work.hpp"

int main(int argc, char** argv) {
    return bench::map_with_onetbb(argc, argv, bench::make_items(), bench::Iterate{}, bench::take_right);
}
