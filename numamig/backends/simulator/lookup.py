"""Pages at some addresses of a process, looked up as the kernel does: where they are, or why they cannot be seen."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.machine import Machine, SimProcess
from numamig.backends.simulator.memory import ABSENT, Flag
from numamig.model.process import RegionKind

__all__ = ["Pages"]

# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_SWAPPED_FLAG = int(Flag.SWAPPED)
_LARGE_FLAG = int(Flag.LARGE)
_HINTED_FLAG = int(Flag.HINTED)
_ZERO_FLAG = int(Flag.ZERO)


@dataclass(slots=True)
class Pages:
    """Arrays of shape (addresses,)."""

    region: NDArray[np.intp]
    """Index into the process's regions; -1 where nothing is mapped."""
    index: NDArray[np.int64]
    """Page within the region."""
    head: NDArray[np.int64]
    """First page of its folio."""
    node: NDArray[np.int32]
    """``ABSENT`` where nothing is present."""
    flags: NDArray[np.uint8]
    sharers: NDArray[np.uint8]
    fault: NDArray[np.int32]
    """Status of pages that cannot be seen; 0 for the others."""

    @classmethod
    def find(
        cls, machine: Machine, process: SimProcess, addresses: NDArray[np.uint64], *, moving: bool = False
    ) -> Pages:
        count = len(addresses)
        starts = np.array([r.start for r in process.regions] or [2**64 - 1], np.uint64)
        ends = np.array([r.end for r in process.regions] or [2**64 - 1], np.uint64)
        region = np.searchsorted(starts, addresses, side="right") - 1
        region[(region < 0) | (addresses >= ends[region])] = -1
        pages = cls(
            region,
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.full(count, ABSENT, np.int32),
            np.zeros(count, np.uint8),
            np.zeros(count, np.uint8),
            np.where(region < 0, -errno.EFAULT, 0).astype(np.int32),
        )
        for number in np.unique(region[region >= 0]).tolist():
            pages._fill(machine, process, addresses, number, moving)
        return pages

    def _fill(
        self, machine: Machine, process: SimProcess, addresses: NDArray[np.uint64], number: int, moving: bool
    ) -> None:
        region, kernel = process.regions[number], machine.kernel
        backing = region.backing
        cells = np.flatnonzero(self.region == number)
        index = ((addresses[cells] - np.uint64(region.start)) // np.uint64(backing.page_bytes)).astype(np.int64)
        node, flags = backing.node[index].astype(np.int32), backing.flags[index]
        self.index[cells], self.node[cells], self.flags[cells] = index, node, flags
        self.head[cells] = np.where(flags & _LARGE_FLAG != 0, index - index % backing.folio_pages, index)
        self.sharers[cells] = backing.sharers[index]
        fault = np.zeros(len(cells), np.int32)
        never = kernel.untouched if region.kind is not RegionKind.FILE else -errno.ENOENT
        fault[node == ABSENT] = never
        fault[(node == ABSENT) & (flags & _SWAPPED_FLAG != 0)] = -errno.ENOENT
        fault[flags & _ZERO_FLAG != 0] = -errno.EFAULT
        if not kernel.sees_hinted:
            hinted = (flags & _HINTED_FLAG != 0) & (node != ABSENT)
            huge = (flags[hinted] & _LARGE_FLAG != 0) & (backing.folio_pages >= kernel.huge_pages)
            fault[hinted] = np.where(huge, -errno.EFAULT, -errno.ENOENT)
        if region.kind is RegionKind.SPECIAL:
            fault[:] = kernel.special if moving else -errno.EFAULT
        self.fault[cells] = fault

    def look_again(self, process: SimProcess) -> None:
        """Pages have moved: where they are now."""
        for number in np.unique(self.region[self.region >= 0]).tolist():
            cells = np.flatnonzero(self.region == number)
            backing = process.regions[number].backing
            index = self.index[cells]
            self.node[cells] = backing.node[index]
            self.flags[cells] = backing.flags[index]
            self.head[cells] = backing.heads(index)

    def where(self) -> NDArray[np.int32]:
        """What a query answers."""
        return np.where(self.fault != 0, self.fault, self.node)

    def folio(self) -> NDArray[np.int64]:
        """A number that two addresses share only if they lie in the same folio."""
        return (self.region.astype(np.int64) << 40) + self.head
