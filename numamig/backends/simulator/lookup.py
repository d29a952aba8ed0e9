"""Pages at some addresses of a process, looked up as the kernel does: where they are, or why they cannot be seen."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.folios import mapped_huge, shared
from numamig.backends.simulator.kernels import KernelProfile
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.model.process import RegionKind

__all__ = ["Pages"]

# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_SWAPPED_FLAG = int(Flag.SWAPPED)
_LARGE_FLAG = int(Flag.LARGE)
_HINTED_FLAG = int(Flag.HINTED)
_ZERO_FLAG = int(Flag.ZERO)
_ANONYMOUS = (RegionKind.ANON, RegionKind.HEAP, RegionKind.STACK)


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
        region = process.regions[number]
        backing = region.backing
        cells = np.flatnonzero(self.region == number)
        index = ((addresses[cells] - np.uint64(region.start)) // np.uint64(backing.page_bytes)).astype(np.int64)
        index += region.first
        node, flags = backing.node[index].astype(np.int32), backing.flags[index]
        self.index[cells], self.node[cells], self.flags[cells] = index, node, flags
        self.head[cells] = np.where(flags & _LARGE_FLAG != 0, index - index % backing.folio_pages, index)
        self.sharers[cells] = backing.sharers[index]
        self.fault[cells] = _faults(machine.kernel, region, index, moving)

    def refused(
        self, machine: Machine, process: SimProcess, cells: slice | NDArray[np.intp], *, move_all: bool
    ) -> NDArray[np.bool_]:
        """Whether each page, though it can be seen, is refused (EACCES): others map it, or it is the wrong address."""
        number, index, head = self.region[cells], self.index[cells], self.head[cells]
        result = np.zeros(len(index), bool)
        for each in np.unique(number[number >= 0]).tolist():
            region, mine = process.regions[each], number == each
            if not move_all:
                result[mine] = shared(machine.kernel, region, index[mine], head[mine])
            if machine.kernel.pool_by_first_page and region.kind is RegionKind.HUGETLB:
                result[mine] |= index[mine] != head[mine]
        return result

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

    def folio(self, process: SimProcess) -> NDArray[np.int64]:
        """A number that two addresses share only if they lie in the same folio."""
        first_over: dict[int, int] = {}
        numbers = [first_over.setdefault(id(r.backing), number) for number, r in enumerate(process.regions)]
        # Where nothing is mapped the last is taken, which is as good as any.
        return (np.array([*numbers, -1], np.int64)[self.region] << 40) + self.head


def _faults(kernel: KernelProfile, region: SimRegion, index: NDArray[np.int64], moving: bool) -> NDArray[np.int32]:
    """Status of pages that cannot be seen; 0 for the others."""
    backing = region.backing
    flags, absent = backing.flags[index], backing.node[index] == ABSENT
    fault = np.zeros(len(index), np.int32)
    fault[absent] = kernel.untouched if region.kind in _ANONYMOUS else -errno.ENOENT
    fault[absent & (flags & _SWAPPED_FLAG != 0)] = -errno.ENOENT
    fault[flags & _ZERO_FLAG != 0] = -errno.EFAULT
    if region.has_no_pages:
        fault[~absent] = kernel.device
        if moving:
            fault[:] = -errno.EFAULT
    elif not kernel.sees_hinted and region.kind is not RegionKind.HUGETLB:
        hinted = ((flags & _HINTED_FLAG != 0) | region.permissions.startswith("---")) & ~absent
        fault[hinted] = np.where(mapped_huge(region, index[hinted], kernel), kernel.untouched, -errno.ENOENT)
    return fault
