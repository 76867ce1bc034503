#!/bin/sh
# Sets up, builds and passes the tests.
#   cmake/test.sh            the whole suite, with GCC
#   cmake/test.sh --all      before it: Clang, the address, undefined and leak sanitizers; shared-memory algorithms, pools and
#                            executors under ThreadSanitizer
set -eu
cd "$(dirname "$0")/.."
scope=suite
case "${1:-}" in
    "") ;;
    --all) scope=all ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
sh cmake/setup.sh
jobs=$(nproc)
launcher=
command -v ccache >/dev/null 2>&1 && launcher=-DCMAKE_CXX_COMPILER_LAUNCHER=ccache

build() { # preset [targets…]
    preset=$1; shift
    cmake --preset "$preset" $launcher
    cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"}
}
run() { # preset [ctest options…]: the failures of one part do not hide those of the next
    preset=$1; shift
    (cd "build/$preset" && ctest --output-on-failure -j "$jobs" "$@") || failed="$failed $preset"
}
failed=

if [ $scope = all ]; then
    build dev-clang
    run dev-clang -L core
    build asan
    run asan -L core
    run asan -R '\.rankrun(\.|$)'
    build tsan shm_tests pool_tests executor_tests
    # Starting a worker takes so long there that a pool whose workers are killed all the time gives up.
    GTEST_FILTER=-*KilledFromOutside*:*KilledAtRandom* run tsan -R '^(shm|pool\.alone|executor\.alone)$'
fi
build dev
run dev
if [ -n "$failed" ]; then
    echo "tests failed in:$failed"
    exit 1
fi
