# Searches every state of a model for what must not be, with the model checker SPIN.
#
#   cmake -DMODEL=wait_word.pml "-DDEFINES=A B=2" -DEXPECT=pass|fail -DWORK=<dir> -P check.cmake
#
# One search looks for invalid end states (everybody waits, nobody can go on) and failing assertions, one for each LTL
# property of the model, under weak fairness. WORK is emptied first, and removed when all was as expected.
#   pass  No search finds an error, each went through all states, and no step of the model is never taken.
#   fail  The first search and that for `every_waiter_leaves` find an error: the model has a mistake in it, by a macro,
#         and shows that the others pass because they have none.
cmake_minimum_required(VERSION 3.22)
foreach(needed MODEL EXPECT WORK)
  if(NOT ${needed})
    message(FATAL_ERROR "-D${needed}=… is missing")
  endif()
endforeach()
if(NOT EXPECT MATCHES "^(pass|fail)$")
  message(FATAL_ERROR "-DEXPECT=${EXPECT}; expected pass or fail")
endif()
find_program(SPIN spin REQUIRED)
find_program(CC NAMES cc gcc clang REQUIRED)
get_filename_component(model "${MODEL}" ABSOLUTE)
get_filename_component(name "${MODEL}" NAME)
separate_arguments(defines UNIX_COMMAND "${DEFINES}")
string(STRIP "${name} ${DEFINES}" label)
list(TRANSFORM defines PREPEND -D)
set(step_limit 60)  # seconds
set(depth 100000)
set(megabytes 2000)

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")

# Runs a command in WORK; its output is in `output`.
function(run_step)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${WORK}" TIMEOUT ${step_limit}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message("${output}")
    message(FATAL_ERROR "${command}: ${result}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run_step(${SPIN} -a ${defines} "${model}")
string(REGEX MATCHALL "ltl [a-z_]+:" properties "${output}")
list(TRANSFORM properties REPLACE "ltl ([a-z_]+):" "\\1")
if(NOT "every_waiter_leaves" IN_LIST properties)
  message("${output}")
  message(FATAL_ERROR "${name} has no property every_waiter_leaves")
endif()

# Searches without partial-order reduction: the models use `unless`, and are small.
set(build ${CC} -O2 -w -DNOREDUCE -DNFAIR=3 -DMEMLIM=${megabytes})
run_step(${build} -DSAFETY -DNOCLAIM -o pan_states pan.c)
run_step(${build} -o pan_ltl pan.c)

# Makes one search and compares what it found with EXPECT. On a surprise shows how the model came there.
function(search what)
  file(REMOVE "${WORK}/${name}.trail")
  run_step(${ARGN} -m${depth})
  string(REGEX MATCH "errors: [0-9]+" errors "${output}")
  string(REGEX MATCH "[0-9]+ states, stored" states "${output}")
  string(REGEX MATCH "elapsed time [0-9.e+-]+ seconds" time "${output}")
  string(REGEX MATCH "pan:1: (invalid end state|acceptance cycle|assertion violated)" found "${output}")
  set(found "${CMAKE_MATCH_1}")
  message(STATUS "${label}: ${what}: ${errors} ${found} (${states}, ${time})")
  if(EXPECT STREQUAL "fail")
    if(NOT found)
      message("${output}")
      message(FATAL_ERROR "${what}: no mistake was found in ${label}")
    endif()
    return()
  endif()
  if(found AND EXISTS "${WORK}/${name}.trail")
    execute_process(COMMAND ${SPIN} -k ${name}.trail -p -g ${defines} "${model}"
      WORKING_DIRECTORY "${WORK}" TIMEOUT ${step_limit} OUTPUT_VARIABLE trail ERROR_VARIABLE trail)
    message("${trail}")
    message(FATAL_ERROR "${what}: ${found}, by the steps above")
  endif()
  # What ends a search early stands in its output, not in its exit code.
  if(NOT errors STREQUAL "errors: 0" OR output MATCHES "not completed|too small|MEMLIM|out of memory")
    message("${output}")
    message(FATAL_ERROR "${what}: the search did not go through all states")
  endif()
  if(what STREQUAL "end states")
    string(REGEX REPLACE "unreached in claim.*" "" steps "${output}")
    if(NOT steps MATCHES "unreached in proctype" OR steps MATCHES "\\([1-9][0-9]* of")
      message("${steps}")
      message(FATAL_ERROR "there are steps that are never taken")
    endif()
  endif()
endfunction()

search("end states" ./pan_states)
if(EXPECT STREQUAL "fail")
  set(properties every_waiter_leaves)
endif()
foreach(property IN LISTS properties)
  search(${property} ./pan_ltl -a -f -N ${property})
endforeach()
file(REMOVE_RECURSE "${WORK}")
