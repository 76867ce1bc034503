#!/bin/sh
# Sets up, builds and runs the main job: Pool.map from one binary, alone, under rankrun, and under every mpirun there is.
set -eu
cd "$(dirname "$0")/.."
sh cmake/setup.sh --first-run
cmake -S . -B build/first-run -G Ninja -DCMAKE_BUILD_TYPE=Release -DRANKPOOL_TESTS=OFF
cmake --build build/first-run
bin=build/first-run/bin

echo
echo "== alone: ./pool_map"
$bin/pool_map
echo
echo "== over shared memory: rankrun -n 4 ./pool_map"
$bin/rankrun -n 4 $bin/pool_map
# Open MPI refuses root, and more ranks than cores, unless told.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
for mpirun in mpirun.openmpi mpirun.mpich; do
    command -v $mpirun >/dev/null 2>&1 || continue
    echo
    echo "== over MPI: $mpirun -n 4 ./pool_map"
    $mpirun -n 4 $bin/pool_map
done
