// MPI by hand: scatter, compute, gather.
#include "peers/raw_mpi.hpp"
#include "map_compute/work.hpp"

int main(int argc, char** argv) {
    return bench::map_with_raw_mpi(argc, argv, bench::make_items, bench::Iterate{}, bench::take_right);
}
