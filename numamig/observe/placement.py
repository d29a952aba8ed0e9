"""How many bytes of a process are on which node: counted where that is quick, estimated where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from numamig.backends.base import Backend
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges
from numamig.model.process import Process, Region, RegionKind

__all__ = ["Placement", "count_ranges", "movable", "placement_of_process", "placement_of_regions"]

EXACT_BELOW_BYTES = 512 << 20
_SPARSE_BYTES = 64 << 30
_PROBE_PAGES = 64
_PROBES = 256


@dataclass(frozen=True, slots=True)
class Placement:
    """Bytes by node."""

    bytes_by_node: dict[int, int]
    """``UNKNOWN_NODE`` where a page is present, but not where."""
    estimated: bool = False
    error: float = 0.0
    """Half width of the 95 % interval of any node's share, 0 to 1; 0 when counted."""

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes_by_node.values())

    def remote_bytes(self, home: Iterable[int]) -> int | None:
        """Bytes that are not on the nodes ``home``; None where there is no home."""
        here = set(home)
        if not here:
            return None
        return sum(count for node, count in self.bytes_by_node.items() if node not in here and node != UNKNOWN_NODE)


def movable(regions: Iterable[Region]) -> list[tuple[int, int]]:
    """Ranges of the regions that can hold pages on nodes."""
    return [(region.start, region.end) for region in regions if region.kind is not RegionKind.SPECIAL]


def count_ranges(backend: Backend, pid: int, ranges: Ranges) -> dict[int, int]:
    """Bytes by node of all present pages in ``ranges``, one after the other.

    :raises TargetGone: the process ended.
    """
    total: dict[int, int] = {}
    for runs in backend.page_runs(pid, ranges):
        for node, count in runs.bytes_by_node().items():
            total[node] = total.get(node, 0) + count
    return total


def placement_of_regions(backend: Backend, pid: int, regions: Sequence[Region]) -> list[Placement]:
    """Counted placement of each region, from one walk."""
    wanted = movable(regions)
    runs = PageRuns.concatenate(backend.page_runs(pid, wanted))
    return [Placement(runs.between(region.start, region.end).bytes_by_node()) for region in regions]


def placement_of_process(backend: Backend, process: Process, page_size: int) -> Placement:
    """Placement of a whole process: counted when it is small, else from probes spread over its address space.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    ranges = movable(backend.regions(process.pid))
    virtual = sum(end - start for start, end in ranges)
    if process.resident_bytes <= EXACT_BELOW_BYTES and virtual <= _SPARSE_BYTES:
        return Placement(count_ranges(backend, process.pid, ranges))
    return _probe(backend, process, ranges, virtual, page_size)


def _probe(backend: Backend, process: Process, ranges: Ranges, virtual: int, page_size: int) -> Placement:
    """Share of each node among pages found by evenly spread probes, scaled to what the kernel says is resident."""
    sizes = np.array([end - start for start, end in ranges], np.int64)
    before = np.cumsum(sizes) - sizes
    found: dict[int, int] = {}
    probes = _PROBES
    hits = 0
    while True:
        offsets = (np.arange(probes) + 0.5) / probes * virtual
        where = np.searchsorted(before, offsets, side="right") - 1
        spots: list[tuple[int, int]] = []
        for region, offset in zip(where.tolist(), offsets.tolist(), strict=True):
            start, end = ranges[region]
            at = start + (int(offset) - int(before[region])) // page_size * page_size
            spots.append((max(at, spots[-1][1]) if spots else at, min(end, at + _PROBE_PAGES * page_size)))
        found, hits = {}, 0
        for runs in backend.page_runs(process.pid, [(a, b) for a, b in spots if a < b]):
            hits += len(np.unique(runs.address >> np.uint64(18)))
            for node, count in runs.bytes_by_node().items():
                found[node] = found.get(node, 0) + count
        if hits >= _PROBES // 4 or probes >= _PROBES * 16:
            break
        probes *= 4
    total = sum(found.values())
    if not total:
        return Placement({}, estimated=True, error=1.0)
    # Pages of one probe are neighbours and tend to be alike, so the probes are counted as the sample, not the pages.
    share = max(found.values()) / total
    spread = max(share * (1 - share), 1 / max(1, hits))
    return Placement(
        {node: round(process.resident_bytes * count / total) for node, count in found.items()},
        estimated=True,
        error=min(1.0, 1.96 * (spread / max(1, hits)) ** 0.5),
    )
