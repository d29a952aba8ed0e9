"""Which pages are in use, as a kernel would find that watches them for a while and notes which ones were touched.

Heat here is what such a kernel sees on average: the chance that a page is touched at least once within ``SAMPLE_NS``,
as often as the process's workloads touch it now. What nobody touches has 0. Where a process has no workload, there is
only what its scenario says of pages in relation to each other: then 1 is the hottest that a scenario can tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.folios import mapped_huge
from numamig.backends.simulator.ieee import expm1
from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.backends.simulator.workload import Workload

__all__ = ["SAMPLE_NS", "heat"]

SAMPLE_NS = 20_000_000
"""That the linux backend has a page watched for, again and again."""
_HOTTEST = 255
_MOST_PAGES = 64
"""Looked at in one range."""
_RANGES, _FOLIOS = 1024, 4096
"""Looked at together."""
_ZERO_FLAG = int(Flag.ZERO)


def heat(
    machine: Machine, process: SimProcess, start: NDArray[np.uint64], end: NDArray[np.uint64]
) -> NDArray[np.float32]:
    """As ``TellsHeat``: the mean of up to 64 pages of each range that are spread over it; NaN where none is present."""
    told = np.full(len(start), np.nan, np.float32)
    for first in range(0, len(start), _RANGES):
        part = slice(first, first + _RANGES)
        told[part] = _of_some(machine, process, start[part], end[part])
    return told


def _of_some(
    machine: Machine, process: SimProcess, start: NDArray[np.uint64], end: NDArray[np.uint64]
) -> NDArray[np.float64]:
    page = machine.page_bytes
    start = start - start % np.uint64(page)
    pages = -(-(end - start).astype(np.int64) // page)
    looked = np.minimum(pages, _MOST_PAGES)
    which = np.repeat(np.arange(len(start)), looked)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(looked) - looked, looked)
    address = start[which] + (nth * pages[which] // looked[which] * page).view(np.uint64)
    machine.clock.look_ns(machine.costs.looking(len(address)))
    seen = Pages.find(machine, process, address)
    there = (seen.region >= 0) & (seen.node != ABSENT) & (seen.flags & _ZERO_FLAG == 0)
    each = np.zeros(len(address))
    for number in np.unique(seen.region[there]).tolist():
        cells = np.flatnonzero(there & (seen.region == number))
        each[cells] = _of_pages(machine, process, process.regions[number], seen.index[cells])
    total = np.bincount(which, weights=np.where(there, each, 0.0), minlength=len(start))
    count = np.bincount(which[there], minlength=len(start))
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(len(start), np.nan), where=count > 0)
    return mean


def _of_pages(
    machine: Machine, process: SimProcess, region: SimRegion, index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Heat of some pages of a region's backing; those that are mapped by one entry are touched together."""
    backing, workloads = region.backing, [each for each in machine.workloads if each.process is process]
    if not workloads and backing.heat is None:
        return np.zeros(len(index))
    huge = mapped_huge(region, index, machine.kernel)
    told = np.zeros(len(index))
    told[~huge] = _alone(workloads, backing, index[~huge])
    if huge.any():
        size = backing.folio_pages
        heads, which = np.unique(index[huge] - index[huge] % size, return_inverse=True)
        folios = [
            _together(workloads, backing, heads[first : first + _FOLIOS]) for first in range(0, len(heads), _FOLIOS)
        ]
        told[huge] = np.concatenate(folios)[which]
    return told


def _alone(workloads: list[Workload], backing: Backing, index: NDArray[np.int64]) -> NDArray[np.float64]:
    return _touched(_per_ns(workloads, backing, index)) if workloads else _said(backing, index)


def _together(workloads: list[Workload], backing: Backing, heads: NDArray[np.int64]) -> NDArray[np.float64]:
    index = (heads[:, None] + np.arange(backing.folio_pages)).reshape(-1)
    if not workloads:
        said: NDArray[np.float64] = _said(backing, index).reshape(len(heads), -1).max(axis=1)
        return said
    return _touched(_per_ns(workloads, backing, index).reshape(len(heads), -1).sum(axis=1))


def _said(backing: Backing, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """By the scenario alone."""
    return np.zeros(len(index)) if backing.heat is None else backing.heat[index] / _HOTTEST


def _touched(per_ns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that something that comes at random, so often, comes within ``SAMPLE_NS``."""
    return -expm1(-per_ns * SAMPLE_NS)


def _per_ns(workloads: list[Workload], backing: Backing, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each page is touched."""
    total = np.zeros(len(index))
    for workload in workloads:
        workload.catch_up()  # it may have ended meanwhile
        if workload.running and any(backing is each for each in workload.backings):
            part, weight = workload.weights_of(backing, index)
            total += weight * workload.touches_of_all_per_ns()[part]
    return total
