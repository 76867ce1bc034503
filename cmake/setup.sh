#!/bin/sh
# Installs the Debian packages that rankpool needs and this machine lacks. Asks nothing; works as root or through sudo.
#   cmake/setup.sh              what a build with all tests, both MPIs and the benchmarks needs
#   cmake/setup.sh --first-run  what the first run needs: both MPIs, no test or benchmark packages
#   cmake/setup.sh --minimal    what the library and its launcher need: no MPI either
#   cmake/setup.sh --list       prints the packages and installs nothing
set -eu

minimal="g++ cmake ninja-build libboost-serialization-dev libcli11-dev libfmt-dev libhwloc-dev"
first_run="$minimal openmpi-bin libopenmpi-dev mpich libmpich-dev"
full="$first_run clang libclang-rt-14-dev ccache spin libgtest-dev libpng-dev libboost-mpi-dev libtbb-dev python3 python3-mpi4py procps util-linux iproute2 slurm-wlm munge libpmix-dev"

packages=$full
list=no
for option in "$@"; do
    case $option in
        --minimal) packages=$minimal ;;
        --first-run) packages=$first_run ;;
        --list) list=yes ;;
        *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
if [ "$list" = yes ]; then
    printf '%s\n' $packages
    exit 0
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "setup: this is no Debian system; install the equivalents of these packages by hand:" $packages >&2
    exit 1
fi
missing=
for package in $packages; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "setup: every package is installed"
    exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: these packages are missing and installing them needs root or sudo:$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
$as_root apt-get install -y -q --no-install-recommends $missing
