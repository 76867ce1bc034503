# Jobs over several machines and under Slurm, on a cluster that lives as long as its one test: cluster.sh makes it out of
# namespaces, and says why where it cannot; the test counts as skipped then.
if(NOT RANKPOOL_SANITIZE)
  add_executable(cluster_workers cluster/programs/workers.cpp)
  target_link_libraries(cluster_workers PRIVATE rankpool::rankpool rankpool_flags)

  add_library(late_in_mpi_init MODULE cluster/programs/late_in_mpi_init.cpp)
  target_link_libraries(late_in_mpi_init PRIVATE rankpool_flags ${CMAKE_DL_LIBS})

  add_executable(cluster_tests cluster/nodes.cpp cluster/launches_test.cpp cluster/slurm_test.cpp cluster/deaths_test.cpp)
  target_link_libraries(cluster_tests PRIVATE test_support rankpool_flags GTest::gtest_main)
  set(cluster_programs rankrun word_count sweep monte_carlo cpu_count)
  if(TARGET mandelbrot)
    target_compile_definitions(cluster_tests PRIVATE RANKPOOL_TEST_MANDELBROT="$<TARGET_FILE:mandelbrot>")
    add_dependencies(cluster_tests mandelbrot)
  endif()
  foreach(program IN LISTS cluster_programs)
    string(TOUPPER ${program} name)
    target_compile_definitions(cluster_tests PRIVATE RANKPOOL_TEST_${name}="$<TARGET_FILE:${program}>")
  endforeach()
  target_compile_definitions(cluster_tests PRIVATE
    RANKPOOL_TEST_CLUSTER_SCRIPT="${CMAKE_CURRENT_SOURCE_DIR}/cluster/cluster.sh"
    RANKPOOL_TEST_LATE_IN_MPI_INIT="$<TARGET_FILE:late_in_mpi_init>"
    RANKPOOL_TEST_WORKERS="$<TARGET_FILE:cluster_workers>"
    RANKPOOL_TEST_LONG_TASKS="$<TARGET_FILE:launch_long_tasks>"
    RANKPOOL_TEST_CHECKPOINTED="$<TARGET_FILE:launch_checkpointed>"
    RANKPOOL_TEST_IRIS="${PROJECT_SOURCE_DIR}/examples/data/iris.csv"
    RANKPOOL_TEST_BATCH_SCRIPTS="${PROJECT_SOURCE_DIR}/examples/slurm"
    RANKPOOL_TEST_OPENMPI="${RANKPOOL_MPIRUN_openmpi}"
    RANKPOOL_TEST_MPICH="${RANKPOOL_MPIRUN_mpich}")
  add_dependencies(cluster_tests ${cluster_programs} cluster_workers late_in_mpi_init launch_long_tasks launch_checkpointed)
  foreach(name IN LISTS RANKPOOL_MPIS)
    add_dependencies(cluster_tests rankpool_module_${name})
  endforeach()

  rankpool_test(cluster COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cluster/cluster.sh run $<TARGET_FILE:cluster_tests> TIMEOUT 300 LABELS cluster)
  set_tests_properties(cluster PROPERTIES SKIP_RETURN_CODE 77 RUN_SERIAL ON)
endif()
