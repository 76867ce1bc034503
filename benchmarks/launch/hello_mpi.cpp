// The peer of hello.cpp: MPI_Init, MPI_Barrier, MPI_Finalize. Compiled for Open MPI and for MPICH.
#include <mpi.h>

#include <cstdlib>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return argc == 2 && size == std::atoi(argv[1]) ? 0 : 1;
}
