"""Where memory really is, read from /proc/PID/numa_maps: not by way of anything that is tested."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

__all__ = ["page_nodes", "pages_by_node", "wait_until_asleep"]

_MOVE_PAGES = {"x86_64": 279, "aarch64": 239}[os.uname().machine]
_libc = ctypes.CDLL(None, use_errno=True)


def pages_by_node(pid: int, start: int = 0, end: int = 1 << 64) -> dict[int, int]:
    """Base pages on each node, of the mappings that begin in [start, end)."""
    found: dict[int, int] = {}
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        address, *words = line.split()
        if not start <= int(address, 16) < end:
            continue
        unit = int(next((w.split("=")[1] for w in words if w.startswith("kernelpagesize_kB=")), "4")) // 4
        for word in words:
            if match := re.fullmatch(r"N(\d+)=(\d+)", word):
                node = int(match[1])
                found[node] = found.get(node, 0) + int(match[2]) * unit
    return found


def page_nodes(pid: int, start: int, pages: int, size: int = 4096) -> list[int]:
    """Node of each of some pages, asked of the kernel directly; negative where it names none."""
    addresses = (ctypes.c_void_p * pages)(*range(start, start + pages * size, size))
    status = (ctypes.c_int * pages)()
    if _libc.syscall(_MOVE_PAGES, pid, ctypes.c_ulong(pages), addresses, None, status, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return list(status)


def wait_until_asleep(pid: int) -> None:
    """Wait until a process has said what it had to say and sleeps: from then on it faults no page in."""
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
        os.sched_yield()
