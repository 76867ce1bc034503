#!/usr/bin/env python3
"""A slow and lossy cable: carries the frames of one network device to another and back, each 5 ms late, one in a hundred never.

    slow_link.py A B READY     until it is ended; makes the file READY when it has begun. Needs the right to open packet sockets
    slow_link.py --whole DEV   has DEV send whole frames: with checksums, none longer than its MTU

It needs nothing of the kernel that containers lack; its own delay (netem) is a module which many of them have not.
"""
import ctypes
import fcntl
import heapq
import random
import select
import socket
import struct
import sys
import time

DELAY, LOSS = 0.005, 0.01

SIOCETHTOOL = 0x8946
CHECKSUMS, SCATTER, TCP_SEGMENTS, SEGMENTS = 0x17, 0x19, 0x1F, 0x24  # ETHTOOL_STXCSUM, SSG, STSO, SGSO
ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING = 3, 263, 23


def send_whole_frames(device):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for feature in (SEGMENTS, TCP_SEGMENTS, SCATTER, CHECKSUMS):
            off = ctypes.create_string_buffer(struct.pack("II", feature, 0))
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(off)))


def opened(device):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    end.bind((device, ETH_P_ALL))
    return end


def carry(first, second, ready):
    ends = opened(first), opened(second)
    open(ready, "w").close()
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    chance = random.Random(1)
    under_way = []  # (when it arrives, in which order, where, frame)
    sent = 0
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(ends, [], [], wait)[0]:
            frame = end.recv(1 << 16)
            sent += 1
            if chance.random() >= LOSS:
                heapq.heappush(under_way, (time.monotonic() + DELAY, sent, other[end], frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(under_way)
            try:
                end.send(frame)
            except OSError:  # the other end is down, or its queue full: a cable loses that too
                pass


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--whole":
        send_whole_frames(sys.argv[2])
    elif len(sys.argv) == 4:
        carry(*sys.argv[1:])
    else:
        sys.exit(__doc__)
