"""The system calls of the executor, raw, and the switches of a quiet machine.

Nothing in this directory imports numamig: what is set up and read back must not depend on what is tested.
"""

import array
import ctypes
import os
import platform
from pathlib import Path

PAGE, HUGE = 4096, 2 << 20
NUMBERS = {
    "x86_64": {"move_pages": 279, "set_mempolicy": 238, "memfd_create": 319},
    "aarch64": {"move_pages": 239, "set_mempolicy": 237, "memfd_create": 279},
}[platform.machine()]
MPOL_DEFAULT, MPOL_BIND = 0, 2
CAP_SYS_PTRACE, CAP_SYS_NICE = 19, 23
UNWRITTEN = -(1 << 31)
ANONYMOUS_PRIVATE = 0x22

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.vmsplice.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_uint]
libc.syscall.restype = ctypes.c_long


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def check(result):
    if result in (-1, None, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def bind(nodes):
    """Further faults of this process take memory from these nodes only; from anywhere, if there are none."""
    mask = ctypes.c_ulong(sum(1 << node for node in nodes))
    if nodes:
        check(libc.syscall(NUMBERS["set_mempolicy"], MPOL_BIND, ctypes.byref(mask), ctypes.c_ulong(65)))
    else:
        check(libc.syscall(NUMBERS["set_mempolicy"], MPOL_DEFAULT, None, ctypes.c_ulong(0)))


def move_pages(pid, addresses, nodes, flags):
    """[return value, errno, status cells], the cells prefilled with what no kernel writes."""
    count = len(addresses)
    where = array.array("Q", addresses)
    status = array.array("i", [UNWRITTEN]) * count
    wanted = None if nodes is None else array.array("i", nodes)
    # The address of an empty array may be null, which would turn a move of nothing into a question.
    filler = ctypes.create_string_buffer(16)
    pointer = [
        None if a is None else ctypes.c_void_p(a.buffer_info()[0] if count else ctypes.addressof(filler))
        for a in (where, wanted, status)
    ]
    ctypes.set_errno(0)
    returned = libc.syscall(
        NUMBERS["move_pages"], ctypes.c_int(pid), ctypes.c_ulong(count), *pointer, ctypes.c_int(flags)
    )
    return [returned, ctypes.get_errno() if returned < 0 else 0, status.tolist()]


def drop_capability(number):
    """For good: not effective, not permitted."""

    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    header, data = Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
    check(libc.capget(ctypes.byref(header), data))
    word = 3 * (number // 32)
    for part in (word, word + 1):
        data[part] &= ~(1 << (number % 32))
    check(libc.capset(ctypes.byref(header), data))


def become_nobody():
    """A user without any capability, who may be looked at by his like."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE


def quieten(pool_pages):
    """Nobody marks, collapses, merges or compacts pages meanwhile; pools of huge pages on every node."""
    thp = "/sys/kernel/mm/transparent_hugepage"
    wanted = {
        "/proc/sys/kernel/numa_balancing": "0",
        "/proc/sys/vm/compaction_proactiveness": "0",
        "/proc/sys/vm/overcommit_memory": "1",
        "/sys/kernel/mm/ksm/run": "0",
        "/sys/kernel/mm/numa/demotion_enabled": "0",
        f"{thp}/enabled": "madvise",
        f"{thp}/defrag": "madvise",
        f"{thp}/use_zero_page": "1",
        f"{thp}/shrink_underused": "0",
        f"{thp}/hugepages-64kB/enabled": "madvise",
        # There is no switch for khugepaged alone: it sleeps for weeks, and takes nothing that is not whole.
        f"{thp}/khugepaged/defrag": "0",
        f"{thp}/khugepaged/scan_sleep_millisecs": "4294967295",
        f"{thp}/khugepaged/alloc_sleep_millisecs": "4294967295",
        f"{thp}/khugepaged/max_ptes_none": "0",
        f"{thp}/khugepaged/pages_to_scan": "1",
        # Few pages lie on the lists of CPUs, where others do not get them.
        "/proc/sys/vm/percpu_pagelist_high_fraction": "100000",
        # khugepaged has raised it to a twentieth of the memory.
        "/proc/sys/vm/min_free_kbytes": "4096",
    }
    for path, value in wanted.items():
        if os.path.exists(path):
            Path(path).write_text(value)
    for node in nodes_with_memory():
        path = Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages")
        path.write_text(str(pool_pages))
        if int(path.read_text()) != pool_pages:
            raise OSError(f"node {node} gave {path.read_text().strip()} of {pool_pages} huge pages")


def nodes_with_memory():
    return span(Path("/sys/devices/system/node/has_memory").read_text())


def span(text):
    """ "0-2,4" as numbers."""
    parts = [part.split("-") for part in text.strip().split(",") if part]
    return [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]


def prepare_cpusets():
    """One group for each set of nodes that a case may be confined to; "0,2" is named m02."""
    root, nodes = Path("/sys/fs/cgroup"), nodes_with_memory()
    (root / "cgroup.subtree_control").write_text("+cpuset")
    for first in nodes:
        for last in [n for n in nodes if n >= first]:
            group = root / f"m{first}{last}"
            group.mkdir()
            (group / "cpuset.mems").write_text(f"{first},{last}")
