# Tests of real launches: the probe programs, the driver that starts them in every way, and a ctest test for each suite.
set(launch_suites
  RankrunOptions RankrunPrograms RankrunEnvironment RankrunExitCodes RankrunStreams RankrunLadder RankrunSignals RankrunKilled
  RankrunLeftovers RankrunJobs
  RankrunLabels RankrunFiles RankrunInput RankrunInputOf RankrunSeveralPrograms RankrunVariables RankrunDirectory RankrunTimeout RankrunGrace RankrunRestarts
  RankrunEngines RankrunThroughMpirun RankrunPlan RankrunBindings RankrunInfo RankrunTerminal RankrunManual
  LaunchAs LaunchNested LaunchSecondProgram LaunchMpirunUnderRankrun LaunchStale LaunchSlurm LaunchBuilds LaunchMissingModule LaunchOtherMpi LaunchDependencies
  RunEnds SpmdEnds
  RankDies RankDiesUnderRankrun RankLeaves RankLeavesUnderRankrun RankThrows RankAborts RanksDisagree RanksWait CheckLevel
  ParentDeath Interrupt Progress
  CheckpointKilled CheckpointKilledBelowLauncher CheckpointForked CheckpointDrained CheckpointDrainedBelowLauncher)

set(launch_programs ranks workers endings long_tasks trouble checkpointed progress)
foreach(program IN LISTS launch_programs)
  add_executable(launch_${program} launch/programs/${program}.cpp)
  target_include_directories(launch_${program} PRIVATE .)
  target_link_libraries(launch_${program} PRIVATE rankpool::rankpool rankpool_flags)
endforeach()
target_compile_definitions(launch_ranks PRIVATE RANKS_MARK="")
add_executable(launch_ranks_other_build launch/programs/ranks.cpp)
target_compile_definitions(launch_ranks_other_build PRIVATE RANKS_MARK=" in another build")
target_link_libraries(launch_ranks_other_build PRIVATE rankpool::rankpool rankpool_flags)
foreach(program signals streams)  # no rankpool in them
  add_executable(launch_${program} launch/programs/${program}.cpp)
  target_link_libraries(launch_${program} PRIVATE rankpool_flags)
endforeach()

set(launch_mpis "")
foreach(launcher IN LISTS launchers)
  if(NOT launcher STREQUAL "rankrun")
    list(APPEND launch_mpis "${launcher}=${RANKPOOL_MPIRUN_${launcher}}")
  endif()
endforeach()
add_executable(launch_tests launch/main.cpp launch/launches.cpp launch/rankrun_test.cpp launch/rankrun_signals_test.cpp
  launch/rankrun_output_test.cpp launch/rankrun_input_test.cpp launch/rankrun_programs_test.cpp launch/rankrun_endings_test.cpp
  launch/rankrun_engines_test.cpp launch/rankrun_plan_test.cpp launch/rankrun_terminal_test.cpp launch/rankrun_manual_test.cpp
  launch/launch_test.cpp launch/exit_test.cpp launch/checkpoint_test.cpp launch/progress_test.cpp launch/trouble_test.cpp faults/parent_death_test.cpp)
target_link_libraries(launch_tests PRIVATE test_support rankpool_flags)
list(JOIN launch_suites "," listed_suites)
list(JOIN launch_mpis "," listed_mpis)
target_compile_definitions(launch_tests PRIVATE
  RANKPOOL_TEST_SUITES="${listed_suites}"
  RANKPOOL_TEST_MPIS="${listed_mpis}"
  RANKPOOL_TEST_LAUNCHER_SOURCES="${PROJECT_SOURCE_DIR}/launcher"
  RANKPOOL_TEST_RANKRUN="$<TARGET_FILE:rankrun>"
  RANKPOOL_TEST_RANKS="$<TARGET_FILE:launch_ranks>"
  RANKPOOL_TEST_RANKS_OTHER_BUILD="$<TARGET_FILE:launch_ranks_other_build>"
  RANKPOOL_TEST_WORKERS="$<TARGET_FILE:launch_workers>"
  RANKPOOL_TEST_ENDINGS="$<TARGET_FILE:launch_endings>"
  RANKPOOL_TEST_SIGNALS="$<TARGET_FILE:launch_signals>"
  RANKPOOL_TEST_STREAMS="$<TARGET_FILE:launch_streams>"
  RANKPOOL_TEST_TROUBLE="$<TARGET_FILE:launch_trouble>"
  RANKPOOL_TEST_PROGRESS="$<TARGET_FILE:launch_progress>"
  RANKPOOL_TEST_CHECKPOINTED="$<TARGET_FILE:launch_checkpointed>"
  RANKPOOL_TEST_LONG_TASKS="$<TARGET_FILE:launch_long_tasks>")
add_dependencies(launch_tests rankrun launch_ranks launch_ranks_other_build launch_workers launch_endings launch_signals launch_streams launch_long_tasks launch_trouble launch_checkpointed launch_progress)
foreach(name IN LISTS RANKPOOL_MPIS)
  add_dependencies(launch_tests rankpool_module_${name})
endforeach()

foreach(suite IN LISTS launch_suites)
  list(LENGTH launch_mpis mpi_count)
  if((suite MATCHES "^(LaunchMissingModule|LaunchMpirunUnderRankrun|RankrunThroughMpirun)$" AND mpi_count EQUAL 0) OR (suite STREQUAL "LaunchOtherMpi" AND mpi_count LESS 2))
    continue()
  endif()
  rankpool_test(launch.${suite} COMMAND launch_tests --gtest_filter=${suite}.*:*/${suite}.* TIMEOUT 120 LABELS launch)
endforeach()
