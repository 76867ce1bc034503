#!/bin/sh
# Runs a program in a control group with 150 MiB of memory. Exit code 77: no such group can be made here.
set -u
limit=157286400
own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
if [ -n "$own" ] && [ -w "/sys/fs/cgroup/memory$own" ]; then
    group=/sys/fs/cgroup/memory$own/rankpool-test.$$ file=memory.limit_in_bytes
else
    own=$(sed -n 's/^0:://p' /proc/self/cgroup)
    group=/sys/fs/cgroup$own/rankpool-test.$$ file=memory.max
fi
mkdir "$group" 2>/dev/null || { echo "no control group can be made: $group"; exit 77; }
trap 'rmdir "$group"' EXIT
[ -w "$group/$file" ] && echo $limit > "$group/$file" || { echo "no memory limit can be set in $group"; exit 77; }
[ -e "$group/memory.swap.max" ] && echo 0 > "$group/memory.swap.max"
sh -c 'echo $$ > "$0/cgroup.procs" && exec "$1"' "$group" "$1"
code=$?
# The processes of the program are gone a moment after it.
while grep -q . "$group/cgroup.procs"; do :; done
exit $code
