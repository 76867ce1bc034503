#!/bin/sh
# A cluster of three nodes on one machine, with a real Slurm on it: for tests, and to try things by hand. Needs root.
#
#   cluster.sh run COMMAND...        makes the cluster and runs COMMAND (bash, say) on its head node; all of it ends then
#
# and inside of it:
#
#   cluster.sh on NODE COMMAND...    runs COMMAND on a node: head, node1, node2 or node3
#   cluster.sh processes NODE        lists what jobs run there
#   cluster.sh power-off NODE        ends every process of the node at once
#   cluster.sh power-on NODE         starts it again, and waits until Slurm knows
#   cluster.sh slow, cluster.sh fast every link: 5 ms of delay and 1 % of loss; and as before
#
# `ssh NODE COMMAND...` works there too, as far as launchers need it, and so do srun, sbatch and the rest of Slurm. $CLUSTER is
# a directory that all nodes see, like the rest of the file system but for /tmp and /dev/shm, of which each has its own.
#
# A node is a set of namespaces: network, host name, mounts, processes. The head node has the bridge, slurmctld and munged; the
# other nodes are inside of it: their processes are some of its own. So nothing of this can be seen from outside, or disturb
# anything there: not links, not mounts, not the files in /run, which is another one here. And nothing can be left: when the
# first process of the head node ends, however it ends, the kernel ends all others and gives everything back.
#
# Exit code: that of COMMAND; 77 when this machine cannot have such a cluster, and why on standard error.
set -eu
self=$(readlink -f "$0")
cable=${self%/*}/slow_link.py
nodes="node1 node2 node3"
network=10.213.0
export CLUSTER=/run/rankpool-test-cluster
export SLURM_CONF=$CLUSTER/slurm.conf

# ---- outside: is it possible? ----

impossible() {
    echo "cluster: not here: $*" >&2
    exit 77
}

check() {
    [ "$(id -u)" -eq 0 ] || impossible "making namespaces and links needs root"
    for need in unshare:util-linux nsenter:util-linux setpriv:util-linux pgrep:procps ip:iproute2 munged:munge \
                slurmctld:slurm-wlm slurmd:slurm-wlm srun:slurm-wlm python3:python3; do
        command -v "${need%:*}" >/dev/null 2>&1 || impossible "there is no ${need%:*}; the package is ${need#*:} (cmake/setup.sh installs it)"
    done
    case $self in /tmp/* | /run/* | /dev/shm/*) impossible "each node has a /tmp, /run and /dev/shm of its own, and the tests lie in $self" ;; esac
    refused=$(unshare --mount --uts --ipc --net --pid --fork --mount-proc ip link add test0 type veth peer name test1 2>&1) ||
        impossible "no namespaces with links of their own: $refused"
}

# A chain of deaths: when this script is killed unshare is, and with it the head node's first process.
run() {
    check
    exec 3<&0
    setpriv --pdeathsig KILL unshare --mount --uts --ipc --net --pid --fork --kill-child --mount-proc sh "$self" head "$@" <&3 &
    head=$!
    trap 'kill -KILL $head; exit 130' INT TERM HUP
    wait $head
}

# ---- the head node ----

own_mounts() {
    mount -t tmpfs tmpfs /dev/shm
    mount -t tmpfs tmpfs /tmp
    ip link set lo up
}

head() {
    hostname head
    mount -t tmpfs tmpfs /run
    own_mounts
    mkdir -p $CLUSTER/bin $CLUSTER/log $CLUSTER/state
    printf '%s\n' "127.0.0.1 localhost" "$network.254 head" "$network.1 node1" "$network.2 node2" "$network.3 node3" >$CLUSTER/hosts
    mount --bind $CLUSTER/hosts /etc/hosts
    printf '#!/bin/sh\nexec sh "%s" ssh "$@"\n' "$self" >$CLUSTER/bin/ssh
    chmod +x $CLUSTER/bin/ssh
    echo $$ >$CLUSTER/head.pid
    ip link add bridge0 type bridge
    ip addr add $network.254/24 dev bridge0
    ip link set bridge0 up

    mkfifo $CLUSTER/requests
    exec 4<>$CLUSTER/requests
    trap 'exit 130' INT TERM HUP
    munge_and_slurm
    for node in $nodes; do start_node "$node"; done
    wait_until_idle "$nodes"

    (
        trap - INT TERM HUP
        exec 4>&-
        code=0
        PATH=$CLUSTER/bin:$PATH "$@" || code=$?
        echo "end $code" >$CLUSTER/requests
    ) <&3 3<&- &
    # What has to outlive the process that asks for it is done here.
    while read -r request what <&4; do
        case $request in
            end) exit "$what" ;;
            start) start_node "$what" ;;
            carry) carry "$what" ;;
        esac
    done
}

munge_and_slurm() {
    key=$CLUSTER/munge
    install -d -m 755 $key
    dd if=/dev/urandom of=$key/key bs=128 count=1 status=none
    chmod 400 $key/key
    munged --force --socket=$key/socket --key-file=$key/key --pid-file=$key/pid --log-file=$key/log --seed-file=$key/seed 2>$CLUSTER/log/munged ||
        { cat $CLUSTER/log/munged >&2; exit 1; }
    cat >$SLURM_CONF <<CONF
ClusterName=rankpool
SlurmctldHost=head($network.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$key/socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=1,sched_interval=2
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation=$CLUSTER/state
SlurmdSpoolDir=$CLUSTER/spool-%n
SlurmctldPidFile=$CLUSTER/slurmctld.pid
SlurmdPidFile=$CLUSTER/slurmd-%n.pid
SlurmctldLogFile=$CLUSTER/log/slurmctld
SlurmdLogFile=$CLUSTER/log/slurmd-%n
KillWait=2
SlurmdTimeout=6
NodeName=node[1-3] CPUs=$(nproc) RealMemory=1000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    slurmctld
}

start_node() { # NODE
    mkfifo "$CLUSTER/$1.up"
    unshare --mount --uts --ipc --net --pid --fork --kill-child --mount-proc sh "$self" node "$1" </dev/null >"$CLUSTER/log/$1" 2>&1 3<&- 4<&- &
    read -r up <"$CLUSTER/$1.up"
    rm "$CLUSTER/$1.up"
    pgrep -P $! >"$CLUSTER/$1.pid"
    number=${1#node}
    ip link del "link$number" 2>/dev/null || true  # of a node that was switched off; the kernel removes it when it gets to that
    ip link add "link$number" type veth peer name eth0 netns "$(cat "$CLUSTER/$1.pid")"
    ip link set "link$number" master bridge0 up
    on "$1" ip addr add "$network.$number/24" dev eth0
    on "$1" ip link set eth0 up
    on "$1" slurmd -N "$1" 3<&- 4<&-
}

# The first process of a node. It has orphans for children, and leaves no zombies of them.
node() { # NODE
    hostname "$1"
    own_mounts
    echo up >"$CLUSTER/$1.up"
    exec env --ignore-signal=CHLD sleep infinity
}

wait_until_idle() { # NODES
    tries=0
    until [ "$(sinfo -h -N -t idle -o %N -n "$(echo "$1" | tr ' ' ,)" | sort -u | wc -l)" -eq "$(echo "$1" | wc -w)" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ]; then
            echo "cluster: Slurm did not start:" >&2
            tail -n 20 $CLUSTER/log/* >&2
            exit 1
        fi
        sleep 0.1
    done
}

# ---- inside ----

on() { # NODE COMMAND...
    pid=$(cat "$CLUSTER/$1.pid")
    shift
    nsenter -t "$pid" --net --uts --ipc --mount --pid -- "$@"
}

# Like ssh: options first, then the host; the words are joined and given to a shell, which has not our environment.
secure_shell() {
    while [ "${1#-}" != "$1" ]; do shift; done
    host=${1#*@}
    shift
    on "$host" env -i HOME="${HOME:-/root}" USER=root SHELL=/bin/sh PATH=/usr/local/bin:/usr/bin:/bin sh -c "cd \"\$HOME\"; $*"
}

# Of every process that a node has, what is not its first process and not its slurmd. The job's own have slurmstepd above them.
processes() { # NODE
    [ -e "$CLUSTER/$1.pid" ] || return 0
    on "$1" ps -e -o pid=,ppid=,stat=,args= | grep -v -E '^ *1 |Z|/?slurmd -N|ps -e -o' || true
}

# Between each node and the bridge. Frames that a process carries have to be whole ones.
slow() {
    for node in $nodes; do
        number=${node#node}
        on "$node" python3 "$cable" --whole eth0
        ip link add "slow$number" type veth peer name "far$number"
        python3 "$cable" --whole "slow$number"
        ip link set "link$number" nomaster
        ip link set "far$number" up
        ip link set "slow$number" master bridge0 up
        echo "carry $number" >$CLUSTER/requests
        tries=0
        until [ -e "$CLUSTER/slow$number.ready" ]; do
            tries=$((tries + 1))
            if [ $tries -gt 500 ]; then
                echo "cluster: the cable to $node carries nothing:" >&2
                cat "$CLUSTER/log/slow$number" >&2
                exit 1
            fi
            sleep 0.02
        done
    done
}

carry() { # NUMBER
    python3 "$cable" "link$1" "far$1" "$CLUSTER/slow$1.ready" </dev/null >"$CLUSTER/log/slow$1" 2>&1 3<&- 4<&- &
    echo $! >"$CLUSTER/slow$1.pid"
}

fast() {
    for node in $nodes; do
        number=${node#node}
        kill "$(cat "$CLUSTER/slow$number.pid")" || true
        rm -f "$CLUSTER/slow$number.pid" "$CLUSTER/slow$number.ready"
        ip link del "slow$number"
        ip link set "link$number" master bridge0
    done
}

case ${1:-help} in
    run) shift; run "$@" ;;
    head) shift; head "$@" ;;
    node) node "$2" ;;
    on) shift; on "$@" ;;
    ssh) shift; secure_shell "$@" ;;
    processes) processes "$2" ;;
    power-off)
        kill -KILL "$(cat "$CLUSTER/$2.pid")"
        rm "$CLUSTER/$2.pid"
        # What slurmctld finds out by itself, after its timeouts.
        scontrol update NodeName="$2" State=DOWN Reason="power off"
        ;;
    power-on)
        echo "start $2" >$CLUSTER/requests
        wait_until_idle "$2"
        ;;
    slow) slow ;;
    fast) fast ;;
    *) sed -n '2,24s/^# \{0,1\}//p' "$self" >&2; exit 2 ;;
esac
