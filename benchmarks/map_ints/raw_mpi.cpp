// MPI by hand: scatter, square, gather.
#include "peers/raw_mpi.hpp"
#include "map_ints/work.hpp"

int main(int argc, char** argv) {
    return bench::map_with_raw_mpi(argc, argv, bench::make_items, bench::Square{}, bench::take_right);
}
