"""Which pages are mapped by one process only, as /proc/PID/pagemap tells by a bit; and room for huge pages.

Source: Documentation/admin-guide/mm/pagemap.rst (bit 56, shown to all who may open the file); mm/vmstat.c
``frag_show_print``; proc_buddyinfo(5).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.pagemap import EXCLUSIVE, PRESENT, Pagemap

__all__ = ["parse_huge_room", "read_shared"]

_ZONE: Final = re.compile(r"^Node (\d+), zone +(\S+) +([\d ]+)$", re.MULTILINE)


def read_shared(proc_root: Path, pid: int, addresses: NDArray[np.uint64], page_size: int) -> NDArray[np.int8]:
    """1 where others map the page too, 0 where not, -1 where there is none; some two microseconds for each.

    The kernel holds the same count against a page when it is to move, so what is shared here is what would stay.

    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look
    """
    entries = np.zeros(len(addresses), np.uint64)
    view = entries.data.cast("B")
    with Pagemap(proc_root, pid, page_size) as pagemap:
        for nth, address in enumerate(addresses.tolist()):
            pagemap.fill(view[nth * 8 : nth * 8 + 8], address)
    shared = np.where((entries & EXCLUSIVE) == 0, 1, 0)
    return np.where(entries < PRESENT, -1, shared).astype(np.int8)


def parse_huge_room(buddyinfo: str, node: int, order: int) -> int:
    """Free blocks of ``1 << order`` pages on a node, larger ones counted as the many that they are.

    The zone DMA is left out: the kernel keeps it for devices.
    """
    room = 0
    for number, zone, counts in _ZONE.findall(buddyinfo):
        if int(number) == node and zone != "DMA":
            larger = map(int, counts.split()[order:])
            room += sum(count << nth for nth, count in enumerate(larger))
    return room
