# Pools in every launch, programs without run(), plugins, examples.

# A binary of tests of pools, and its run as NAME.LAUNCH alone and as three ranks of each launcher: each of SUITES on its own,
# NAME.SUITE.LAUNCH, where they are given. Under Open MPI every rank leads its own workers, as if each had a machine.
function(rankpool_pool_tests name binary)
  cmake_parse_arguments(PARSE_ARGV 2 pool "LARGE" "TIMEOUT;LABEL" "SOURCES;SUITES")
  add_executable(${binary} ${pool_SOURCES})
  target_include_directories(${binary} PRIVATE .)
  target_link_libraries(${binary} PRIVATE test_support rankpool::rankpool rankpool_flags GTest::gtest)
  if(binary STREQUAL "pool_tests")
    target_precompile_headers(${binary} PRIVATE <gtest/gtest.h> <rankpool/rankpool.hpp> <map> <string> <vector>)
  else()
    target_precompile_headers(${binary} REUSE_FROM pool_tests)
  endif()
  set(runs ${name})
  if(pool_SUITES)
    list(TRANSFORM pool_SUITES PREPEND ${name}. OUTPUT_VARIABLE runs)
  endif()
  foreach(run IN LISTS runs)
    set(filter "")
    if(pool_SUITES)
      string(REGEX REPLACE ".*\\." "" suite ${run})
      set(filter --gtest_filter=*/${suite}.*)
    endif()
    rankpool_test(${run}.alone COMMAND ${binary} ${filter} TIMEOUT ${pool_TIMEOUT} LABELS ${pool_LABEL} core)
    if(pool_LARGE)
      set_property(TEST ${run}.alone APPEND PROPERTY ENVIRONMENT RANKPOOL_TEST_LARGE=1)
    endif()
    foreach(launcher IN LISTS launchers)
      rankpool_test(${run}.${launcher} COMMAND ${launch_${launcher}} 3 $<TARGET_FILE:${binary}> ${filter} TIMEOUT ${pool_TIMEOUT} LABELS ${pool_LABEL})
      set_property(TEST ${run}.${launcher} APPEND PROPERTY ENVIRONMENT RANKPOOL_TEST_RANKS=3)
      if(launcher STREQUAL "openmpi")
        set_property(TEST ${run}.${launcher} APPEND PROPERTY ENVIRONMENT RANKPOOL_LEADERS=rank)
      endif()
      if(pool_LARGE AND launcher MATCHES "^(rankrun|openmpi)$")
        set_property(TEST ${run}.${launcher} APPEND PROPERTY ENVIRONMENT RANKPOOL_TEST_LARGE=1)
      endif()
    endforeach()
  endforeach()
endfunction()

rankpool_pool_tests(pool pool_tests LARGE TIMEOUT 300 LABEL pool SOURCES pool/main.cpp pool/map_test.cpp pool/errors_test.cpp pool/loss_test.cpp
  pool/async_test.cpp pool/sees_test.cpp pool/bind_shared_test.cpp pool/task_function_test.cpp pool/shared_vector_test.cpp pool/caller_memory_test.cpp pool/idle_test.cpp pool/memory_test.cpp)
rankpool_test(pool.rankrun.leaders COMMAND ${launch_rankrun} 3 $<TARGET_FILE:pool_tests> TIMEOUT 300 LABELS pool)
set_property(TEST pool.rankrun.leaders APPEND PROPERTY ENVIRONMENT RANKPOOL_TEST_RANKS=3 RANKPOOL_LEADERS=rank)
rankpool_pool_tests(checkpoint checkpoint_tests TIMEOUT 120 LABEL pool SOURCES pool/main.cpp checkpoint/call_test.cpp)
# What Python's suites check, by number.
rankpool_pool_tests(semantics.pool semantics_pool_tests TIMEOUT 120 LABEL semantics
  SOURCES semantics/main.cpp semantics/pool_results_test.cpp semantics/pool_lifecycle_test.cpp)
# Workers that die in every way at every moment.
rankpool_pool_tests(faults faults_pool_tests TIMEOUT 60 LABEL faults SUITES WorkerDeath Storm
  SOURCES faults/main.cpp faults/worker_death_test.cpp faults/storm_test.cpp)
# Executors: what Python's suite checks, and more.
rankpool_pool_tests(executor executor_tests LARGE TIMEOUT 300 LABEL executor SOURCES pool/main.cpp executor/future_test.cpp executor/queue_test.cpp
  semantics/executor_basics_test.cpp semantics/executor_crash_test.cpp semantics/executor_future_test.cpp semantics/executor_lifetime_test.cpp)

# The same digits, byte for byte, in every launch.
add_executable(pool_digest pool/digest.cpp)
target_link_libraries(pool_digest PRIVATE rankpool::rankpool rankpool_flags)
foreach(launcher IN LISTS launchers)
  list(JOIN launch_${launcher} "|" launch)
  rankpool_test(pool.digits.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}|3|$<TARGET_FILE:pool_digest>" -DSAME_AS=$<TARGET_FILE:pool_digest>
    -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/check.cmake LABELS ${launcher})
endforeach()

# The end of a program whose executor has work.
add_executable(executor_endings executor/programs/endings.cpp)
target_link_libraries(executor_endings PRIVATE rankpool::rankpool rankpool_flags)
function(executor_ending how launcher code)
  set(launch "")
  if(NOT launcher STREQUAL "alone")
    list(JOIN launch_${launcher} "|" launch)
    set(launch "${launch}|3|")
  endif()
  rankpool_test(executor.end.${how}.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:executor_endings>|${how}" -DCODE=${code} "-DTEXT=${ARGN}"
    -P ${CMAKE_CURRENT_SOURCE_DIR}/executor/endings.cmake LABELS executor)
endfunction()
executor_ending(without_run alone 0)
foreach(launcher IN ITEMS alone LISTS launchers)
  foreach(how leaked shutdown static)
    executor_ending(${how} ${launcher} 0)
  endforeach()
  executor_ending(at_exit ${launcher} 0 "too late")
  executor_ending(exit ${launcher} 3)
  executor_ending(exit_shutdown ${launcher} 3)
  executor_ending(throw ${launcher} 1)
  executor_ending(callback ${launcher} 4)
endforeach()

add_executable(foreign_tests foreign/foreign_test.cpp)
target_link_libraries(foreign_tests PRIVATE rankpool::rankpool rankpool_flags GTest::gtest_main)
rankpool_test(foreign COMMAND foreign_tests TIMEOUT 120 LABELS core)

# ---- examples, in every launch ----
set(check ${CMAKE_CURRENT_SOURCE_DIR}/examples/check.cmake)
# Three workers in any order, then their ends in this one.
set(orders "")
foreach(order 012 021 102 120 201 210)
  string(REGEX REPLACE "." "Worker \\0 [|] PID [0-9]+\n" lines ${order})
  list(APPEND orders "${lines}")
endforeach()
list(JOIN orders "|" orders)
set(three_workers "^(${orders})Process-1 ended with code 0\nProcess-2 ended with code 0\nProcess-3 ended with code 0\n$")
set(squares "\\[0, 1, 4, 9, 16, 25, 36, 49\\]")
foreach(launcher IN ITEMS alone LISTS launchers)
  set(launch "")
  if(NOT launcher STREQUAL "alone")
    list(JOIN launch_${launcher} "|" launch)
    set(launch "${launch}|4|")
  endif()
  foreach(example pool_map scatter_map_gather)
    rankpool_test(example.${example}.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:${example}>" "-DEXPECT=${squares}" -P ${check} LABELS example)
  endforeach()
  rankpool_test(example.executor_map.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:executor_map>"
    "-DEXPECT=\\[333332833333500000, 2666664666667000000, 8999995500000500000\\]" -P ${check} LABELS example)
  rankpool_test(example.web_of_tasks.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:web_of_tasks>"
    "-DEXPECT=pages: 40, the last one 972\nwithout a price: page 96 has no price\nworth: 189, broken: 1\nafter a while: 0 of 2 done, still running: true\ncancelled: true\nits result: .*cancelled.*\ngiven up: true\ngiven up: true\n"
    -P ${check} LABELS example)
  rankpool_test(example.cpu_count.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:cpu_count>" "-DEXPECT=[Cc][Pp][Uu]" -P ${check} LABELS example)
  rankpool_test(example.word_count.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:word_count>"
    "-DSAME_AS=$<TARGET_FILE:word_count>|--serial" -P ${check} LABELS example)
  rankpool_test(example.pi.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:pi>"
    "-DEXPECT=pi = 3\\.141592653590, error" "-DSAME_AS=$<TARGET_FILE:pi>" -P ${check} LABELS example)
  rankpool_test(example.process.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:process>" "-DEXPECT=${three_workers}" -P ${check} LABELS example)
  set(ring "ring: 4 rank.s., 400 hops, sum of the path 600\n")
  set(ranks 4)
  if(launcher STREQUAL "alone")
    set(ring "ring: 1 rank.s., 100 hops, sum of the path 0\n")
    set(ranks 1)
  endif()
  rankpool_test(example.ring.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:ring>" "-DEXPECT=${ring}" -P ${check} LABELS example)
  rankpool_test(example.heat.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:heat>|60|80|100"
    "-DEXPECT=heat: 60 x 80, 100 steps, ${ranks} rank.s.: maximum [0-9.]+, checksum [0-9a-f]+, equal to the serial run" -P ${check} LABELS example)
  # Ranks without a row, and ranks with one.
  rankpool_test(example.heat_few_rows.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:heat>|3|40|50"
    "-DEXPECT=heat: 3 x 40, 50 steps, ${ranks} rank.s.: .*, equal to the serial run" -P ${check} LABELS example)
  if(NOT RANKPOOL_SANITIZE)
    rankpool_test(faults.deadly_file.${launcher} COMMAND ${CMAKE_COMMAND} "-DLAUNCH=${launch}" -DWORD_COUNT=$<TARGET_FILE:word_count>
      -DPRELOAD=$<TARGET_FILE:deadly_file> -DWORK=${CMAKE_CURRENT_BINARY_DIR}/deadly.${launcher} -P ${CMAKE_CURRENT_SOURCE_DIR}/faults/deadly_file.cmake LABELS faults)
  endif()
  rankpool_test(plugin.${launcher} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}$<TARGET_FILE:plugin_host>|$<TARGET_FILE:plugin>"
    "-DEXPECT=1 8 27 64 60" -P ${check})
endforeach()
add_library(deadly_file SHARED faults/deadly_file.cpp)
target_link_libraries(deadly_file PRIVATE ${CMAKE_DL_LIBS})
target_compile_features(deadly_file PRIVATE cxx_std_20)

add_library(plugin MODULE plugin/plugin.cpp)
target_link_libraries(plugin PRIVATE rankpool::rankpool rankpool_flags)
add_executable(plugin_host plugin/host.cpp)
target_link_libraries(plugin_host PRIVATE rankpool::rankpool rankpool_flags)

# ---- users' projects ----
if(NOT RANKPOOL_SANITIZE)
  set(mpirun "")
  if(RANKPOOL_MPIS)
    find_program(RANKPOOL_MPIRUN mpirun)  # beside the mpicxx that find_package(MPI) asks
    set(mpirun ${RANKPOOL_MPIRUN})
  endif()
  foreach(kind find_package add_subdirectory)
    rankpool_test(consumer.${kind} COMMAND ${CMAKE_COMMAND} -DKIND=${kind} -DWORK=${CMAKE_CURRENT_BINARY_DIR}/consumer.${kind} -DBUILD=${PROJECT_BINARY_DIR}
      -DSOURCE=${PROJECT_SOURCE_DIR} -DCOMPILER=${CMAKE_CXX_COMPILER} "-DLAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}" "-DFLAGS=${CMAKE_CXX_FLAGS_DEBUG}" -DWARNINGS=${RANKPOOL_WARNINGS} "-DMPI=${mpirun}" -P ${CMAKE_CURRENT_SOURCE_DIR}/consumer/check.cmake TIMEOUT 600)
  endforeach()
endif()

# ---- communicators: one binary, every launcher, every number of ranks ----
add_executable(comm_tests comm/main.cpp comm/blocks_test.cpp comm/collectives_test.cpp comm/errors_test.cpp comm/groups_test.cpp comm/into_test.cpp
  comm/large_test.cpp comm/map_test.cpp comm/messages_test.cpp comm/pool_test.cpp comm/reduce_test.cpp)
target_include_directories(comm_tests PRIVATE .)
target_link_libraries(comm_tests PRIVATE rankpool::rankpool rankpool_flags GTest::gtest)
target_precompile_headers(comm_tests PRIVATE <gtest/gtest.h> <rankpool/rankpool.hpp> <list> <string> <vector>)
rankpool_test(comm.alone COMMAND comm_tests LABELS comm)
foreach(launcher IN LISTS launchers)
  foreach(ranks IN ITEMS 1 2 3 4 7 8 13 17)
    set(politely "")
    if(launcher STREQUAL "mpich" AND ranks GREATER 2)
      set(politely env LD_PRELOAD=$<TARGET_FILE:yield_in_ucx>)
    endif()
    rankpool_test(comm.${launcher}.${ranks} COMMAND ${launch_${launcher}} ${ranks} ${politely} $<TARGET_FILE:comm_tests> LABELS comm)
  endforeach()
endforeach()
# MPI without its locks: everything but the test that uses several threads.
foreach(mpi IN LISTS RANKPOOL_MPIS)
  if(mpi IN_LIST launchers)
    rankpool_test(comm.${mpi}.2.one_thread COMMAND ${launch_${mpi}} 2 $<TARGET_FILE:comm_tests> --gtest_filter=-*SeveralThreads* LABELS comm)
    set_property(TEST comm.${mpi}.2.one_thread APPEND PROPERTY ENVIRONMENT RANKPOOL_THREADS=one)
  endif()
endforeach()
# As on a machine with a CPU for each rank: everybody looks at everybody's slot, and both sides copy large blocks.
foreach(ranks IN ITEMS 3 4 7)
  rankpool_test(comm.rankrun.${ranks}.many_cpus COMMAND ${launch_rankrun} ${ranks} $<TARGET_FILE:comm_tests> LABELS comm)
  set_property(TEST comm.rankrun.${ranks}.many_cpus APPEND PROPERTY ENVIRONMENT RANKPOOL_CPU_COUNT=8)
endforeach()
add_library(yield_in_ucx MODULE support/yield_in_ucx.cpp)
target_link_libraries(yield_in_ucx PRIVATE rankpool_flags ${CMAKE_DL_LIBS})
add_executable(comm_digest comm/digest.cpp)
target_link_libraries(comm_digest PRIVATE rankpool::rankpool rankpool_flags)
# The same digits, byte for byte, whoever brings the ranks together.
foreach(mpi IN LISTS RANKPOOL_MPIS)
  if(mpi IN_LIST launchers)
    foreach(ranks IN ITEMS 1 3 4)
      list(JOIN launch_${mpi} "|" launch)
      rankpool_test(comm.digits.${mpi}.${ranks} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${launch}|${ranks}|$<TARGET_FILE:comm_digest>"
        "-DSAME_AS=${rankrun}|-n|${ranks}|$<TARGET_FILE:comm_digest>" -P ${check} LABELS comm)
    endforeach()
  endif()
endforeach()

# ---- programs that use MPI themselves: one binary for each MPI ----
if(NOT RANKPOOL_SANITIZE)
  foreach(mpi IN LISTS RANKPOOL_MPIS)
    add_executable(adopted_${mpi} mpi/adopted.cpp)
    set_target_properties(adopted_${mpi} PROPERTIES ENABLE_EXPORTS ON)  # its MPI_… functions come before the library's
    target_include_directories(adopted_${mpi} PRIVATE .)
    target_link_libraries(adopted_${mpi} PRIVATE rankpool::rankpool rankpool_flags rankpool_mpi_${mpi} GTest::gtest)
    foreach(ranks IN ITEMS 1 2 4)
      set(politely "")
      if(mpi STREQUAL "mpich" AND ranks GREATER 2)
        set(politely env LD_PRELOAD=$<TARGET_FILE:yield_in_ucx>)
      endif()
      rankpool_test(adopted.${mpi}.${ranks} COMMAND ${launch_${mpi}} ${ranks} ${politely} $<TARGET_FILE:adopted_${mpi}> --gtest_filter=-Large.* LABELS mpi)
      set_property(TEST adopted.${mpi}.${ranks} APPEND PROPERTY ENVIRONMENT RANKPOOL_CHECK=0)
    endforeach()
    # Next to the checks of a debug build: all but the counts.
    rankpool_test(adopted.${mpi}.checked COMMAND ${launch_${mpi}} 2 $<TARGET_FILE:adopted_${mpi}> --gtest_filter=-Calls.*:Large.* LABELS mpi)
    set_property(TEST adopted.${mpi}.checked APPEND PROPERTY ENVIRONMENT RANKPOOL_CHECK=1)
    rankpool_test(adopted.${mpi}.large COMMAND ${launch_${mpi}} 2 $<TARGET_FILE:adopted_${mpi}> --gtest_filter=Large.* TIMEOUT 300 LABELS mpi)
    set_property(TEST adopted.${mpi}.large APPEND PROPERTY ENVIRONMENT RANKPOOL_CHECK=0)
    set_property(TEST adopted.${mpi}.large PROPERTY RUN_SERIAL ON)
  endforeach()
endif()

# A worker that the kernel kills because its control group has no memory left.
if(NOT RANKPOOL_SANITIZE)
  add_executable(faults_out_of_memory faults/programs/out_of_memory.cpp)
  target_link_libraries(faults_out_of_memory PRIVATE rankpool::rankpool rankpool_flags)
  rankpool_test(faults.out_of_memory COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/faults/out_of_memory.sh $<TARGET_FILE:faults_out_of_memory> TIMEOUT 60 LABELS faults)
  set_property(TEST faults.out_of_memory PROPERTY SKIP_RETURN_CODE 77)
endif()
