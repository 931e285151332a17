#!/usr/bin/env python3
"""Runs a command on two simulated machines with a slow and lossy network between them.

    sudo scripts/two_machines.py --delay 5 --loss 0.01 -- -H 10.77.0.1:2,10.77.0.2:2 cigan train-stylegan …

The words after `--` are those of `mpirun`. The machines are network namespaces; each has one interface,
a TUN device, and this program carries the packets between them. It needs Linux, root, iproute2 and
Open MPI, but no `netem` in the kernel. `--cut SECONDS` carries nothing from that time on.
"""

import argparse
import ctypes
import fcntl
import heapq
import os
import random
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import threading
import time

NAMES = ["cigan-a", "cigan-b"]
ADDRESSES = ["10.77.0.1", "10.77.0.2"]
MTU = 9000
# From linux/if_tun.h and linux/sched.h.
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def open_tun(namespace):
    """The TUN device of a namespace. A thread enters the namespace, the file stays open."""
    result = []

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{namespace}") as space:
            if libc.setns(space.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"wire", IFF_TUN | IFF_NO_PI))
        result.append(tun)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return result[0]


def carry(tuns, delay, loss, cut, stop):
    """Carries packets between the machines until `stop` is set. Returns how many were carried and lost."""
    draws = random.Random(0)
    waiting, order = [], 0
    counts = [0, 0]
    start = time.monotonic()
    while not stop.is_set():
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, tun, packet = heapq.heappop(waiting)
            try:
                os.write(tun, packet)
            except BlockingIOError:
                pass
        pause = min(0.05, waiting[0][0] - now) if waiting else 0.05
        ready, _, _ = select.select(tuns, [], [], max(pause, 0.0))
        for tun in ready:
            packet = os.read(tun, MTU + 100)
            lost = draws.random() < loss or (cut is not None and time.monotonic() - start > cut)
            counts[lost] += 1
            if not lost:
                other = tuns[1 - tuns.index(tun)]
                heapq.heappush(waiting, (time.monotonic() + delay, order, other, packet))
                order += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds in each direction")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that are lost")
    parser.add_argument("--cut", type=float, help="seconds until the connection is cut")
    parser.add_argument("mpirun", nargs=argparse.REMAINDER, help="words of mpirun, after --")
    args = parser.parse_args()
    words = args.mpirun[1:] if args.mpirun[:1] == ["--"] else args.mpirun

    folder = tempfile.TemporaryDirectory()
    agent = os.path.join(folder.name, "agent")
    with open(agent, "w") as file:
        # Another name of the host as well: Open MPI would take one name for one machine.
        inside = f"exec ip netns exec {NAMES[1]} unshare --uts sh -c"
        file.write(f'#!/bin/sh\nshift\n{inside} "hostname {NAMES[1]}; $*"\n')
    os.chmod(agent, 0o755)
    stop = threading.Event()
    counts = []
    code = 1
    try:
        tuns = []
        for name, address in zip(NAMES, ADDRESSES):
            ip("netns", "add", name)
            tuns.append(open_tun(name))
            for command in [
                ["link", "set", "lo", "up"],
                ["addr", "add", f"{address}/24", "dev", "wire"],
                ["link", "set", "wire", "mtu", str(MTU), "up"],
            ]:
                ip("-n", name, *command)
        wire = threading.Thread(
            target=lambda: counts.extend(carry(tuns, args.delay / 1e3, args.loss, args.cut, stop))
        )
        wire.start()
        command = ["ip", "netns", "exec", NAMES[0], "unshare", "--uts", "sh", "-c"]
        command += [f'hostname {NAMES[0]}; exec "$@"', "sh", "mpirun", "--allow-run-as-root"]
        command += ["--mca", "plm_rsh_agent", agent, "--mca", "btl", "tcp,self,vader"]
        command += ["--mca", "btl_tcp_if_include", "wire", "--mca", "oob_tcp_if_include", "wire"]
        print(shlex.join([*command, *words]), file=sys.stderr)
        start = time.monotonic()
        code = subprocess.run([*command, *words]).returncode
        seconds = time.monotonic() - start
        stop.set()
        wire.join()
        print(
            f"exit code {code} after {seconds:.1f} s; {counts[0]} packets carried, {counts[1]} lost",
            file=sys.stderr,
        )
    finally:
        stop.set()
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        folder.cleanup()
    sys.exit(code)


if __name__ == "__main__":
    main()
