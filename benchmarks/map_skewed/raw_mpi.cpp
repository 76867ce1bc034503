// MPI by hand: scatter, compute, gather. Each rank gets the same number of items, not the same work.
#include "peers/raw_mpi.hpp"
#include "map_skewed/work.hpp"

int main(int argc, char** argv) {
    return bench::map_with_raw_mpi(argc, argv, bench::make_items, bench::Iterate{}, bench::take_right);
}
