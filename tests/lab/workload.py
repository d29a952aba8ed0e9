"""A process with known memory, for tests on a real kernel: ``workload.py JSON`` makes the areas, says where, and waits.

Runs by itself and imports nothing of numamig: what it sets up must not depend on what is tested.
"""

import ctypes
import json
import mmap
import os
import platform
import select
import signal
import sys

PAGE, HUGE = 4096, 2 << 20
LARGE = 8192  # pages; beyond, all bytes are alike, since one call a page would take minutes in emulation
MPOL_DEFAULT, MPOL_BIND = 0, 2
MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 14, 15
ANONYMOUS = mmap.MAP_ANONYMOUS | mmap.MAP_PRIVATE
MAP_HUGETLB = 0x40000
MLOCK_ONFAULT = 1
MLOCK2 = {"x86_64": 325, "aarch64": 284}[platform.machine()]
MAP_FIXED = 0x10
MBIND = {"x86_64": 237, "aarch64": 235}[platform.machine()]

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def check(result):
    if result == -1 or result == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def set_policy(start, size, mode, nodes):
    mask = (ctypes.c_ulong * 16)()
    for node in nodes:
        mask[node // 64] |= 1 << (node % 64)
    check(libc.syscall(MBIND, ctypes.c_void_p(start), ctypes.c_ulong(size), mode, mask, ctypes.c_ulong(1025), 0))


def make(area):
    size = area["pages"] * PAGE
    start = reserve(area, size)
    set_policy(start, size, MPOL_BIND, [area["node"]])
    touch(area, start, size)
    # Memory that is bound is nothing to NUMA balancing, and nobody's memory is in real life.
    set_policy(start, size, MPOL_DEFAULT, [])
    return start


def reserve(area, size):
    if area["state"] == "hugetlb":
        return check(libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, ANONYMOUS | MAP_HUGETLB, -1, 0))
    flags = mmap.MAP_ANONYMOUS | mmap.MAP_SHARED if area["state"] == "shared" else ANONYMOUS
    room = size + 2 * HUGE + PAGE
    low = check(libc.mmap(None, room, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0))
    start = -(-low // HUGE) * HUGE
    # An unmapped page before and behind: neighbours must not become one mapping.
    if start > low:
        check(libc.munmap(low, start - low))
    check(libc.munmap(start + size, low + room - start - size))
    if area["state"] != "as_comes":
        libc.madvise(start, size, MADV_HUGEPAGE if area["state"] == "huge" else MADV_NOHUGEPAGE)
    return start


def touch(area, start, size):
    if area["pages"] > LARGE and area["state"] in ("touched", "huge", "locked", "holes"):
        ctypes.memset(start, 1, size)
        if area["state"] == "holes":
            # Free memory in single pages: no two of them side by side.
            for page in range(0, area["pages"], 2):
                check(libc.madvise(start + page * PAGE, PAGE, MADV_DONTNEED))
        if area["state"] in ("locked", "holes"):
            check(libc.syscall(MLOCK2, ctypes.c_void_p(start), ctypes.c_ulong(size), MLOCK_ONFAULT))
        return
    for page in range(area["pages"]):
        if area["state"] == "read":
            ctypes.string_at(start + page * PAGE, 1)
        elif area["state"] != "untouched":
            ctypes.memset(start + page * PAGE, 1 + page % 250, 64)
    for page in area["pinned"]:
        # A page that lies in a pipe is referenced by it, and cannot be migrated.
        _, into = os.pipe()
        vector = Iovec(start + page * PAGE, PAGE)
        check(libc.vmsplice(into, ctypes.byref(vector), 1, 0))


def intact(area, start):
    if area["state"] in ("untouched", "read", "holes", "locked"):
        return True
    if area["pages"] > LARGE and area["state"] in ("touched", "huge"):
        return ctypes.string_at(start, area["pages"] * PAGE) == b"\1" * (area["pages"] * PAGE)
    return all(ctypes.string_at(start + page * PAGE, 1)[0] == 1 + page % 250 for page in range(area["pages"]))


def main():
    areas = json.loads(sys.argv[1])
    starts = [make(area) for area in areas]
    if any(area["state"] == "shared" for area in areas):
        if os.fork() == 0:
            libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
            for area, start in zip(areas, starts, strict=True):
                if area["state"] != "shared":
                    # After a fork private memory is mapped twice as well, until one of the two lets go.
                    check(libc.munmap(start, area["pages"] * PAGE))
                else:
                    for page in range(area["pages"]):
                        ctypes.string_at(start + page * PAGE, 1)
            print(json.dumps(starts), flush=True)
            signal.pause()
    else:
        print(json.dumps(starts), flush=True)
    while line := os.read(0, 1):
        if line == b"!":
            # Runs until it is told something else: NUMA balancing marks the memory of those who run.
            while not select.select([0], [], [], 0)[0]:
                pass
        elif line == b"?":
            # Whether the contents are what they were.
            print(json.dumps(all(map(intact, areas, starts))), flush=True)


main()
