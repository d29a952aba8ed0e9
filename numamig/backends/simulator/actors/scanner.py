"""The scanner of NUMA balancing: marks the pages of one process, a window at a time, from its start to its end.

Source: task_numa_work in kernel/sched/fair.c and change_pte_range in mm/mprotect.c of 6.1; read, and written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.actors.base import Stream
from numamig.backends.simulator.actors.marks import MarkQueue, Units, drawn_for
from numamig.backends.simulator.actors.scanrate import ScanSettings
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.model.process import RegionKind

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.process import SimRegion
    from numamig.backends.simulator.workload import Workload

__all__ = ["Scanner", "virtual_page"]

_HINTED = np.uint8(Flag.HINTED)
_LARGE = int(Flag.LARGE)


class Scanner:
    """Where it is, and what it has marked when."""

    def __init__(self, machine: Machine, workload: Workload, queue: MarkQueue) -> None:
        self._machine, self._workload, self._queue = machine, workload, queue
        self._at = 0
        """Address from which on it marks next."""
        self._marked_in: dict[int, tuple[Backing, NDArray[np.int32]]] = {}
        """Backing (its id) → it, and the scan that marked each page last."""
        self.scans = 0

    def adopt(self) -> None:
        """Pages that are marked when it begins are its own."""
        for region in self._workload.process.regions:
            here = slice(region.first, region.first + region.pages)
            marked = (region.backing.flags[here] & _HINTED != 0) & (region.backing.node[here] != ABSENT)
            self._enqueue(region, region.first + np.flatnonzero(marked))

    def scan(self, settings: ScanSettings) -> tuple[int, bool]:
        """Mark a window.

        :returns: base pages that were marked, and whether the end of the process was passed
        """
        page = self._machine.page_bytes
        self.scans += 1
        left = settings.size_bytes // page
        walk = left * settings.widest
        marked, passed = 0, False
        regions = [region for region in self._workload.process.regions if _scanned(region)]
        number = next((n for n, region in enumerate(regions) if region.end > self._at), None)
        while left > 0 and walk > 0:
            if number is None or number == len(regions):
                if passed or not regions:
                    break
                passed, number, self._at = True, 0, 0
            region = regions[number]
            first = max(0, (self._at - region.start) // page)
            last = min(region.pages, first + min(left, walk))
            size = region.backing.folio_pages  # no folio is cut in two
            last = min(region.pages, -(-(region.first + last) // size) * size - region.first)
            here = self._mark(region, first, last)
            marked += here
            left -= last - first if here else 0
            walk -= last - first
            self._at = region.start + last * page
            if last == region.pages:
                number += 1
        if number is not None and number == len(regions) and not passed:
            passed, self._at = True, 0
        return marked, passed

    def still_marked(self, units: Units, serial: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which are marked as they were by that scan, and present."""
        backing, marked_in = units.backing, self._marked_in[id(units.backing)][1]
        head = units.head
        same = marked_in[head] == serial
        return np.asarray(same & (backing.flags[head] & _HINTED != 0) & (backing.node[head] != ABSENT))

    def region_of(self, backing: Backing) -> SimRegion | None:
        """Where the process maps a backing; None where it does not any more."""
        return next((region for region in self._workload.process.regions if region.backing is backing), None)

    def _mark(self, region: SimRegion, first: int, last: int) -> int:
        """Mark pages ``first`` to ``last`` as far as they are marked at all; how many base pages."""
        backing, process = region.backing, self._workload.process
        first, last = region.first + first, region.first + last
        node, flags = backing.node[first:last], backing.flags[first:last]
        large = flags & _LARGE != 0
        markable = (node != ABSENT) & (flags & int(Flag.ZERO | Flag.HINTED) == 0)
        small = ~large
        if region.permissions.endswith("p"):  # pages that are shared until somebody writes, or held by somebody
            small &= (backing.sharers[first:last] == 1) & (flags & int(Flag.PINNED) == 0)
        if process.threads == 1:  # pages that are at home already
            small &= node != self._workload.thread_nodes[0]
        index = first + np.flatnonzero(markable & (large | small))
        if not len(index):
            return 0
        backing.flags[index] |= _HINTED
        units = self._enqueue(region, index)
        vmstat = self._machine.vmstat
        vmstat["numa_pte_updates"] += len(index)
        vmstat["numa_huge_pte_updates"] += int((units.pages >= (self._machine.kernel.huge_pages or 1 << 30)).sum())
        return len(index)

    def _enqueue(self, region: SimRegion, index: NDArray[np.int64]) -> Units:
        """Pages are marked: whose turn comes when, if anybody touches them at all."""
        backing, workload = region.backing, self._workload
        units, starts = Units.of(backing, index)
        if id(backing) not in self._marked_in:
            self._marked_in[id(backing)] = (backing, np.full(len(backing.node), -1, np.int32))
        self._marked_in[id(backing)][1][units.head] = self.scans
        if len(units) and any(backing is each for each in workload.backings):
            row, weight = workload.weights_of(backing, index)
            drawn = drawn_for(
                self._machine.seed, Stream.TOUCH, workload.process.pid, virtual_page(region), units, self.scans
            )
            self._queue.add(units, row[starts], np.add.reduceat(weight, starts), drawn, self.scans)
        return units


def virtual_page(region: SimRegion) -> int:
    """Number of the virtual page at which the backing of a region would begin."""
    return region.start // region.backing.page_bytes - region.first


def _scanned(region: SimRegion) -> bool:
    """Whether the kernel looks at a mapping: no special ones, no pools, no files that are only read, and none with a
    policy of its own (vma_policy_mof)."""
    if region.policy != "default":
        return False
    if region.kind in (RegionKind.SPECIAL, RegionKind.HUGETLB) or region.permissions.startswith("--"):
        return False
    return not (region.kind is RegionKind.FILE and region.permissions.startswith("r-"))
