# Process: the same tests under run(), in a program that never calls it, and in one that has a thread before its main.
add_library(process_test_objects OBJECT process/process_test.cpp semantics/process_test.cpp)
target_include_directories(process_test_objects PRIVATE .)
target_link_libraries(process_test_objects PRIVATE rankpool::rankpool rankpool_flags GTest::gtest)
add_executable(process_tests process/main.cpp $<TARGET_OBJECTS:process_test_objects>)
target_link_libraries(process_tests PRIVATE rankpool::rankpool rankpool_flags GTest::gtest)
add_executable(process_tests_without_run $<TARGET_OBJECTS:process_test_objects>)
target_link_libraries(process_tests_without_run PRIVATE rankpool::rankpool rankpool_flags GTest::gtest_main)
add_executable(process_tests_with_thread process/early_thread.cpp $<TARGET_OBJECTS:process_test_objects>)
target_link_libraries(process_tests_with_thread PRIVATE rankpool::rankpool rankpool_flags GTest::gtest_main)

rankpool_test(process.alone COMMAND process_tests TIMEOUT 120 LABELS process core)
rankpool_test(process.without_run COMMAND process_tests_without_run TIMEOUT 120 LABELS process)
rankpool_test(process.with_thread COMMAND process_tests_with_thread TIMEOUT 120 LABELS process)
foreach(launcher IN LISTS launchers)
  rankpool_test(process.${launcher} COMMAND ${launch_${launcher}} 2 $<TARGET_FILE:process_tests> TIMEOUT 120 LABELS process)
endforeach()

# Whole programs that end in different ways.
foreach(program endings static_start)
  add_executable(process_${program} process/programs/${program}.cpp)
  # The thread's file comes first: its initialiser runs first.
  add_executable(process_${program}_with_thread process/early_thread.cpp process/programs/${program}.cpp)
  foreach(target process_${program} process_${program}_with_thread)
    target_include_directories(${target} PRIVATE .)
    target_link_libraries(${target} PRIVATE rankpool::rankpool rankpool_flags)
  endforeach()
endforeach()
add_executable(process_endings_tests process/endings_test.cpp)
target_include_directories(process_endings_tests PRIVATE .)
target_link_libraries(process_endings_tests PRIVATE test_support rankpool_flags GTest::gtest_main)
target_compile_definitions(process_endings_tests PRIVATE
  RANKPOOL_TEST_RANKRUN="$<TARGET_FILE:rankrun>"
  RANKPOOL_TEST_ENDINGS="$<TARGET_FILE:process_endings>"
  RANKPOOL_TEST_ENDINGS_WITH_THREAD="$<TARGET_FILE:process_endings_with_thread>"
  RANKPOOL_TEST_STATIC_START="$<TARGET_FILE:process_static_start>"
  RANKPOOL_TEST_STATIC_START_WITH_THREAD="$<TARGET_FILE:process_static_start_with_thread>")
add_dependencies(process_endings_tests rankrun rankpool_host process_endings process_endings_with_thread process_static_start process_static_start_with_thread)
rankpool_test(process.endings COMMAND process_endings_tests TIMEOUT 200 LABELS process)
