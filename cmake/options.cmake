# What can be chosen about a build. Tests, examples, warnings as errors and install rules only when this is the top level
# project: a project that adds us gets the library and the launcher.
option(RANKPOOL_SHARED "Build the library as a shared one" ON)
option(RANKPOOL_MPI "Build a module for each MPI that is installed" ON)
option(RANKPOOL_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(RANKPOOL_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(RANKPOOL_BENCHMARKS "Build the benchmarks" OFF)
option(RANKPOOL_INSTALL "Make install rules" ${PROJECT_IS_TOP_LEVEL})
option(RANKPOOL_WARNINGS "Warn about everything, and treat warnings as errors" OFF)
set(RANKPOOL_SANITIZE "" CACHE STRING "Sanitizers to build with, for example address,undefined")

# Programs, libraries and modules side by side: the library finds its modules next to itself, in the build tree too.
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
  endif()
endif()

# What every target of ours is compiled with; not passed on to users.
add_library(rankpool_flags INTERFACE)
target_compile_features(rankpool_flags INTERFACE cxx_std_20)
if(RANKPOOL_WARNINGS)
  target_compile_options(rankpool_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
    -Woverloaded-virtual -Werror)
endif()
if(RANKPOOL_SANITIZE)
  target_compile_options(rankpool_flags INTERFACE -fsanitize=${RANKPOOL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(rankpool_flags INTERFACE -fsanitize=${RANKPOOL_SANITIZE})
endif()
# Workers find their code by build-id.
target_link_options(rankpool_flags INTERFACE -Wl,--build-id)
