"""Which pages a call of 2004 is to move: a list of pages, a virtual range, or a whole process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.process import SimProcess

__all__ = ["Victims"]


@dataclass(frozen=True, slots=True)
class Victims:
    """Pages of one process, and where each is to go."""

    addresses: NDArray[np.uint64]
    """Shape (pages,)."""
    nodes: NDArray[np.int32]
    """Shape (pages,)."""
    listed: bool = True
    """They come as a list, which was one of physical pages: the kernel has to search the page tables for them. Of a
    range it knows where it is, and may go on where it stopped."""

    @classmethod
    def in_range(cls, machine: Machine, process: SimProcess, start: int, end: int, node: int) -> Victims:
        """All present pages from an address up to another."""
        found = []
        for region in process.regions:
            size = region.backing.page_bytes
            first = max(0, (start - region.start) // size)
            last = min(region.pages, -(-(end - region.start) // size))
            if first < last:
                found.append(np.uint64(region.start) + np.arange(first, last, dtype=np.uint64) * np.uint64(size))
        addresses = np.concatenate(found) if found else np.empty(0, np.uint64)
        addresses = addresses[Pages.find(machine, process, addresses, moving=True).fault == 0]
        return cls(addresses, np.full(len(addresses), node, np.int32), listed=False)

    @classmethod
    def all_of(cls, machine: Machine, process: SimProcess, node: int) -> Victims:
        """Every present page of a process."""
        return cls.in_range(machine, process, 0, 1 << 64, node)
