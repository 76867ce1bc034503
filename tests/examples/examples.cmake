# Examples that give the same bytes for any number of workers, chunksize, backend and launch: one test for each of them.
function(rankpool_same_everywhere example)
  cmake_parse_arguments(PARSE_ARGV 1 same "" "SCRIPT" "ARGUMENTS;DEFINE")
  if(NOT same_SCRIPT)
    set(same_SCRIPT same_everywhere)
  endif()
  list(JOIN same_ARGUMENTS "|" arguments)
  list(JOIN launchers "|" names)
  set(defines "-DCOMMAND=$<TARGET_FILE:${example}>|${arguments}" "-DLAUNCHERS=${names}" -DWORK=${CMAKE_CURRENT_BINARY_DIR}/same_everywhere.${example})
  foreach(launcher IN LISTS launchers)
    list(JOIN launch_${launcher} "|" launch)
    list(APPEND defines "-DLAUNCH_${launcher}=${launch}|3")
  endforeach()
  rankpool_test(example.${example}.same_everywhere
    COMMAND ${CMAKE_COMMAND} ${defines} ${same_DEFINE} -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/${same_SCRIPT}.cmake LABELS example)
endfunction()

set(all_backends "-DBACKENDS=processes|threads|serial")
rankpool_same_everywhere(monte_carlo ARGUMENTS --paths 200005
  DEFINE ${all_backends} "-DEXPECT=^paths: +200005\nprice: +10\\.[0-9]+\nstandard error: 0.033\nexact price: +10\\.45058357, ")
rankpool_same_everywhere(sweep ARGUMENTS --steps 50 ${PROJECT_SOURCE_DIR}/examples/data/iris.csv
  DEFINE "-DEXPECT=^150 samples of 3 classes, 4 features; 5 folds, 50 steps\n.*\n +1 +0 +94.0 % +0.1917[0-9]+\n.*\nleast loss: rate 1, penalty 0\n$")
if(TARGET mandelbrot)
  rankpool_same_everywhere(mandelbrot ARGUMENTS --size 61 43 --iterations 100 DEFINE ${all_backends} "-DEXPECT=^mandelbrot.png: 61 x 43 pixels, 100 iterations\n$")
  rankpool_same_everywhere(image_folder SCRIPT image_folder ARGUMENTS --radius 3 --size 40 ${CMAKE_CURRENT_BINARY_DIR}/pictures out
    DEFINE -DMANDELBROT=$<TARGET_FILE:mandelbrot> -DINPUT=${CMAKE_CURRENT_BINARY_DIR}/pictures -DCODE=1
      "-DEXPECT=\n90x60.png: 90 x 60, thumbnail 40 x 27\npictures: 8 done, 3 skipped\n$"
      "-DEXPECT_ERROR=/cut.png: [^\n]+ skipped\n.*/empty.png: [^\n]+ skipped\n.*/text.png: [^\n]+ skipped\n")
  # A mistake is told once, however many ranks there are.
  rankpool_test(example.mandelbrot.usage COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${rankrun}|-n|3|$<TARGET_FILE:mandelbrot>|--size|0|9" -DCODE=2
    "-DEXPECT_ERROR=^--size: Value 0 not in range [^\n]+\n[^\n]+--help[^\n]+\n[^-]*$" -P ${check} LABELS example)
endif()
