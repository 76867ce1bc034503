# Finds each MPI that is installed, by its compiler wrapper: both may be there side by side, which CMake's FindMPI does not
# provide for. Makes an interface target rankpool_mpi_NAME and appends NAME to RANKPOOL_MPIS.
set(RANKPOOL_MPIS "")

# FLAGS of a wrapper as include directories, library directories and libraries of a target.
function(rankpool_add_mpi name wrapper flags)
  separate_arguments(words UNIX_COMMAND "${flags}")
  add_library(rankpool_mpi_${name} INTERFACE)
  foreach(word IN LISTS words)
    if(word MATCHES "^-I(.+)")
      target_include_directories(rankpool_mpi_${name} SYSTEM INTERFACE ${CMAKE_MATCH_1})
    elseif(word MATCHES "^-L(.+)")
      target_link_directories(rankpool_mpi_${name} INTERFACE ${CMAKE_MATCH_1})
    elseif(word MATCHES "^-l(mpi|mpich)$")  # the C interface is all we use
      target_link_libraries(rankpool_mpi_${name} INTERFACE ${CMAKE_MATCH_1})
    endif()
  endforeach()
  target_compile_definitions(rankpool_mpi_${name} INTERFACE OMPI_SKIP_MPICXX=1 MPICH_SKIP_MPICXX=1)
  set(RANKPOOL_MPIS ${RANKPOOL_MPIS} ${name} PARENT_SCOPE)
  message(STATUS "rankpool: MPI module for ${name} (${wrapper})")
endfunction()

find_program(RANKPOOL_OPENMPI_WRAPPER NAMES mpicxx.openmpi mpicxx mpic++)
if(RANKPOOL_OPENMPI_WRAPPER)
  execute_process(COMMAND ${RANKPOOL_OPENMPI_WRAPPER} --showme:compile RESULT_VARIABLE failed OUTPUT_VARIABLE compile ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  execute_process(COMMAND ${RANKPOOL_OPENMPI_WRAPPER} --showme:link OUTPUT_VARIABLE link ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT failed)
    rankpool_add_mpi(openmpi ${RANKPOOL_OPENMPI_WRAPPER} "${compile} ${link}")
    # Of the PMIx that Open MPI uses; its header only.
    find_path(RANKPOOL_PMIX_INCLUDE pmix.h PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/pmix2/include)
    if(RANKPOOL_PMIX_INCLUDE)
      target_include_directories(rankpool_mpi_openmpi SYSTEM INTERFACE ${RANKPOOL_PMIX_INCLUDE})
      target_compile_definitions(rankpool_mpi_openmpi INTERFACE RANKPOOL_HAVE_PMIX=1)
    endif()
  endif()
endif()

find_program(RANKPOOL_MPICH_WRAPPER NAMES mpicxx.mpich mpicxx mpic++)
if(RANKPOOL_MPICH_WRAPPER)
  execute_process(COMMAND ${RANKPOOL_MPICH_WRAPPER} -compile-info RESULT_VARIABLE failed OUTPUT_VARIABLE compile ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  execute_process(COMMAND ${RANKPOOL_MPICH_WRAPPER} -link-info OUTPUT_VARIABLE link ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT failed)
    rankpool_add_mpi(mpich ${RANKPOOL_MPICH_WRAPPER} "${compile} ${link}")
  endif()
endif()

if(NOT RANKPOOL_MPIS)
  message(STATUS "rankpool: no MPI found; programs run alone and under rankrun")
endif()
