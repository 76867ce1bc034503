# Makes TARGET what programs link that use MPI themselves (<rankpool/mpi.hpp>): for the installed package and for projects that
# add these sources. Needs MPI::MPI_CXX.
function(rankpool_link_mpi target)
  target_link_libraries(${target} INTERFACE rankpool::rankpool MPI::MPI_CXX)
  target_compile_definitions(${target} INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)  # the C interface is all we use
endfunction()
