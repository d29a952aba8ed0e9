"""A process to be shown: it runs on one node, and its memory lies on another.

Runs by itself and imports nothing of numamig: ``demonstration.py CPU_NODE MEMORY_NODE MEBIBYTES [counting]``. Half of
its memory is in base pages, of which a pipe holds a few: those cannot be migrated. It touches some of it at random,
again and again, slowly, since CPU time is dear in emulation; counting, it tells how many accesses it gets done. It ends
with whoever started it.
"""

import ctypes
import mmap
import os
import platform
import signal
import sys
import time
from pathlib import Path

PAGE = mmap.PAGESIZE
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
MPOL_BIND, MPOL_LOCAL = 2, 4
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15
NAME = b"demo-db"
HELD = 8
"""Pages that the pipe holds."""
TOUCHED = 64
BURST = 20_000
"""Accesses that are timed as one, where they are counted."""
PAUSE_S = 0.05


class Iovec(ctypes.Structure):
    """As in readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def set_policy(mode: int, *nodes: int) -> None:
    """Of this process, for memory that it gets from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = (ctypes.c_ulong * 16)()
    for node in nodes:
        mask[node // 64] |= 1 << (node % 64)
    if libc.syscall(
        SET_MEMPOLICY[platform.machine()], mode, mask if nodes else None, ctypes.c_ulong(1025 * bool(nodes))
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def cpus_of(node: int) -> set[int]:
    """Of a kernel list such as "0-3,8"."""
    text = Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().strip()
    ranges = [part.partition("-") for part in text.split(",") if part]
    return {cpu for low, _, high in ranges for cpu in range(int(low), int(high or low) + 1)}


def hold(memory: mmap.mmap) -> None:
    """Have a pipe refer to some pages. It stays open as long as this process."""
    _, into = os.pipe()
    step = len(memory) // (HELD + 1) // PAGE * PAGE
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for number in range(1, HELD + 1):
        vector = Iovec(start + number * step, PAGE)
        if ctypes.CDLL(None, use_errno=True).vmsplice(into, ctypes.byref(vector), ctypes.c_ulong(1), 0) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def places(size: int, count: int, at: int) -> list[int]:
    """So many offsets below ``size``, at random but always the same."""
    found = []
    for _ in range(count):
        at = (at * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        found.append((at >> 20) % size)
    return found


def count(halves: list[mmap.mmap]) -> None:
    """Read at random, and tell after each burst: accesses, and the CPU time that they took in ns."""
    windows = [len(half) // 2 for half in halves]
    bursts = [(memoryview(half), places(window, BURST, 0)) for half, window in zip(halves, windows, strict=True)]
    at = 0
    while True:
        for (view, where), window in zip(bursts, windows, strict=True):
            # Elsewhere each time: what was read before may still be in a cache.
            (first,) = places(window, 1, at := at + 1)
            part = view[first : first + window]
            began = time.thread_time_ns()
            for _ in map(part.__getitem__, where):
                pass
            print(BURST, time.thread_time_ns() - began, flush=True)
            time.sleep(PAUSE_S)


def touch(halves: list[mmap.mmap]) -> None:
    """Write at random, a little at a time."""
    at = 0
    while True:
        for half in halves:
            for place in places(len(half), TOUCHED, at):
                half[place] = 2
            at += 1
        time.sleep(PAUSE_S)


def main() -> None:
    """Say "ready" when the memory is there, and go on until killed."""
    parent = os.getppid()
    cpu_node, memory_node, mebibytes = map(int, sys.argv[1:4])
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("whoever started this is gone")
    libc.prctl(PR_SET_NAME, NAME, 0, 0, 0)
    os.sched_setaffinity(0, cpus_of(cpu_node))
    set_policy(MPOL_BIND, memory_node)
    halves = []
    for advice in (MADV_NOHUGEPAGE, MADV_HUGEPAGE):
        half = mmap.mmap(-1, mebibytes << 19, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        half.madvise(advice)
        for at in range(0, len(half), PAGE):
            half[at] = 1
        halves.append(half)
    hold(halves[0])
    # Memory that stays bound would be refused by preflight, and nobody's is in real life. That of the default policy
    # would be brought home by NUMA balancing while it is shown; local by request is local all the same, and left alone.
    set_policy(MPOL_LOCAL)
    print("ready", flush=True)
    (count if sys.argv[4:] == ["counting"] else touch)(halves)


if __name__ == "__main__":
    main()
