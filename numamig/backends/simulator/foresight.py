"""What can be told of a simulated process before its pages move: hazards, who shares them, and what it will cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import FolioCost
from numamig.backends.simulator.costs import Load
from numamig.backends.simulator.folios import mapped_huge, pinned, shared
from numamig.backends.simulator.kernels import Locking
from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimProcess
from numamig.model.pageflags import PageFlag, PageFlags
from numamig.model.process import Hazards, RegionKind

__all__ = ["folio_cost", "hazards", "page_flags", "shared_pages"]

_CHUNK_PAGES = 1 << 20
_PINNED_FLAG, _ZERO_FLAG = int(Flag.PINNED), int(Flag.ZERO)
_SIMPLE = {
    int(Flag.ISOLATED): PageFlag.BUSY,
    int(Flag.WRITEBACK): PageFlag.WRITEBACK,
    int(Flag.MLOCKED): PageFlag.MLOCKED,
    int(Flag.HINTED): PageFlag.HINTED,
}
"""Flags of a page that are what they are, whatever the others of its folio have."""
_EVERY_FLAG = np.uint16(sum(PageFlag))


def hazards(machine: Machine, process: SimProcess) -> Hazards:
    """Of what can stand in the way, pinned pages are simulated; and whoever has pid 1 is init."""
    pinned = sum(map(_pinned_pages, process.backings))
    return Hazards(init=process.pid == 1, pinned_bytes=pinned * machine.page_bytes)


def _pinned_pages(backing: Backing) -> int:
    count = 0
    for first in range(0, len(backing.flags), _CHUNK_PAGES):
        flags = backing.flags[first : first + _CHUNK_PAGES] & _PINNED_FLAG
        if flags.any():
            count += int(np.count_nonzero(flags[backing.node[first : first + _CHUNK_PAGES] != ABSENT]))
    return count


def shared_pages(machine: Machine, process: SimProcess, addresses: NDArray[np.uint64]) -> NDArray[np.int8]:
    """As ``TellsSharing``: by what the kernel goes by when it is to move a page."""
    pages = Pages.find(machine, process, addresses)
    there = (pages.region >= 0) & (pages.node != ABSENT) & (pages.flags & _ZERO_FLAG == 0)
    found = np.full(len(addresses), -1, np.int8)
    for number in np.unique(pages.region[there]).tolist():
        cells = np.flatnonzero(there & (pages.region == number))
        found[cells] = shared(machine.kernel, process.regions[number], pages.index[cells], pages.head[cells])
    return found


def page_flags(machine: Machine, process: SimProcess, addresses: NDArray[np.uint64]) -> PageFlags:
    """As ``TellsPageFlags``: everything, whoever asks. No kernel tells which pages are pinned."""
    pages = Pages.find(machine, process, addresses)
    there = (pages.region >= 0) & (pages.node != ABSENT) & (pages.flags & _ZERO_FLAG == 0)
    flags = np.zeros(len(addresses), np.uint16)
    for own, told in _SIMPLE.items():
        flags[pages.flags & own != 0] |= np.uint16(told)
    for number in np.unique(pages.region[there]).tolist():
        cells = np.flatnonzero(there & (pages.region == number))
        region, index, head = process.regions[number], pages.index[cells], pages.head[cells]
        found = np.where(shared(machine.kernel, region, index, head), int(PageFlag.SHARED), 0)
        found |= np.where(pinned(region.backing, index, head), int(PageFlag.PINNED), 0)
        huge = mapped_huge(region, index, machine.kernel) | (region.kind is RegionKind.HUGETLB)
        flags[cells] |= (found | np.where(huge, int(PageFlag.HUGE), 0)).astype(np.uint16)
    return PageFlags(np.where(there, flags, 0).astype(np.uint16), np.where(there, _EVERY_FLAG, np.uint16(0)))


def folio_cost(machine: Machine, process: SimProcess, folio_bytes: int) -> FolioCost | None:
    """By the machine's cost model, for pages that nobody else maps; None for the kernels of 2004, which have others."""
    kernel = machine.kernel
    if kernel.locking is not Locking.PER_TABLE:
        return None
    pages = max(1, folio_bytes // machine.page_bytes)
    together = max(1, kernel.batch_pages // pages)
    ptes, far_ptes = Load.entries(pages, kernel.huge_pages)

    def call_ns(folios: int) -> float:
        load = Load(folios, folios * ptes, folios * far_ptes, folios * folio_bytes)
        return machine.costs.duration(load, machine.conditions(process)).total_ns

    many = 2 * together
    folio_ns = (call_ns(many) - call_ns(1)) / (many - 1)
    return FolioCost(call_ns(1) - folio_ns, folio_ns, together)
