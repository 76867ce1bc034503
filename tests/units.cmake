# Tests of the library's parts, against its own objects.
set(RANKPOOL_UNIT_TEST_SOURCES
  journal/hash_test.cpp
  journal/journal_test.cpp
  launch/cpus_test.cpp
  os/cgroup_test.cpp
  os/files_test.cpp
  os/own_pid_test.cpp
  pool/arena_test.cpp
  pool/coverage_test.cpp
  pool/members_test.cpp
  support/allocations.cpp
  wire/archive_test.cpp
  wire/boost_archive_test.cpp
  wire/buffer_test.cpp
  wire/captured_test.cpp
  wire/code_reference_test.cpp
  wire/copy_test.cpp
  wire/exceptions_test.cpp
  wire/task_function_test.cpp
  wire/transferable_test.cpp)

# Ranks as threads: a binary of its own, for the thread sanitizer.
set(RANKPOOL_SHM_TEST_SOURCES
  shm/collectives_test.cpp
  shm/communicators_test.cpp
  shm/damage_test.cpp
  shm/departure_test.cpp
  shm/job_memory_test.cpp
  shm/shm_transport_test.cpp
  shm/wait_word_test.cpp)

# What must not compile, each with the message that is expected in its first line.
set(RANKPOOL_COMPILE_FAIL_SOURCES
  compile_fail/aggregate_of_33.cpp
  compile_fail/capture_string.cpp
  compile_fail/class_without_serialize.cpp
  compile_fail/control.cpp
  compile_fail/item_aggregate_with_pointer.cpp
  compile_fail/item_aggregate_with_reference.cpp
  compile_fail/item_nested_span.cpp
  compile_fail/item_pointer.cpp
  compile_fail/item_string_view.cpp
  compile_fail/process_argument_pointer.cpp
  compile_fail/process_wrong_arguments.cpp
  compile_fail/reduce_both_ways.cpp
  compile_fail/reduce_wrong_op.cpp
  compile_fail/result_pointer.cpp
  compile_fail/result_string_view.cpp
  compile_fail/spmd_bcast_pointer.cpp
  compile_fail/submit_wrong_arguments.cpp
  compile_fail/task_no_function.cpp)
