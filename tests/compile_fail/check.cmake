# Compiles one file that must not compile and looks for our own words among what the compiler says.
#
#   cmake -DCOMPILER=g++ -DFLAGS= -DSOURCE=x.cpp -DINCLUDE=runtime/include -P check.cmake
#
# The file's first line says what is expected: `// expect: fragment of the message`, or `// expect: compiles` for the one
# that shows that the others fail for the reason they name.
foreach(needed COMPILER SOURCE INCLUDE)
  if(NOT ${needed})
    message(FATAL_ERROR "-D${needed}=… is missing")
  endif()
endforeach()
separate_arguments(flags UNIX_COMMAND "${FLAGS}")

file(STRINGS "${SOURCE}" first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE}: the first line must be `// expect: …`")
endif()
set(expected "${CMAKE_MATCH_1}")

execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${flags} "-I${INCLUDE}" "${SOURCE}"
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)

if(expected STREQUAL "compiles")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} does not compile:\n${output}")
  endif()
  return()
endif()
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but must not")
endif()
# Compilers break long messages in lines of their own making.
string(REGEX REPLACE "[ \n\t]+" " " words "${output}")
string(FIND "${words}" "${expected}" place)
if(place EQUAL -1)
  message(FATAL_ERROR "${SOURCE} does not compile, but the message lacks \"${expected}\":\n${output}")
endif()

# Users read the first error.
string(REGEX MATCH "error: [^\n]*" first_error "${output}")
if(NOT first_error MATCHES "rankpool: ")
  message(FATAL_ERROR "${SOURCE}: the first error is not ours:\n${output}")
endif()
