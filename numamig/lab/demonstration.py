"""A process to be shown in the virtual machine: it runs on one node, and its memory lies on another.

Runs by itself and imports nothing of numamig: ``demonstration.py CPU_NODE MEMORY_NODE MEBIBYTES``. Half of its memory
is in base pages; it touches some of it again and again, slowly, since CPU time is dear in emulation.
"""

import ctypes
import mmap
import os
import platform
import sys
import time
from pathlib import Path

PAGE = mmap.PAGESIZE
PR_SET_NAME = 15
MPOL_DEFAULT, MPOL_BIND = 0, 2
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15
NAME = b"demo-db"
TOUCHED = 64
PAUSE_S = 0.05


def set_policy(mode: int, *nodes: int) -> None:
    """Of this process, for memory that it gets from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = (ctypes.c_ulong * 16)()
    for node in nodes:
        mask[node // 64] |= 1 << (node % 64)
    if libc.syscall(SET_MEMPOLICY[platform.machine()], mode, mask, ctypes.c_ulong(1025)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def cpus_of(node: int) -> set[int]:
    """Of a kernel list such as "0-3,8"."""
    text = Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().strip()
    ranges = [part.partition("-") for part in text.split(",") if part]
    return {cpu for low, _, high in ranges for cpu in range(int(low), int(high or low) + 1)}


def main() -> None:
    """Say "ready" when the memory is there, and go on until killed."""
    cpu_node, memory_node, mebibytes = map(int, sys.argv[1:4])
    ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
    os.sched_setaffinity(0, cpus_of(cpu_node))
    set_policy(MPOL_BIND, memory_node)
    halves = []
    for advice in (MADV_NOHUGEPAGE, MADV_HUGEPAGE):
        half = mmap.mmap(-1, mebibytes << 19, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        half.madvise(advice)
        for at in range(0, len(half), PAGE):
            half[at] = 1
        halves.append(half)
    # Memory that stays bound would be refused by preflight, and nobody's is in real life.
    set_policy(MPOL_DEFAULT)
    print("ready", flush=True)
    at = 0
    while True:
        for half in halves:
            for _ in range(TOUCHED):
                at = (at * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                half[(at >> 20) % len(half)] = 2
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
