"""How many bytes of a process are on which node, counted; or estimated, where that takes too long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from numamig.backends.base import Backend
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges
from numamig.model.process import Process, Region, RegionKind

__all__ = [
    "EXACT_BELOW_BYTES",
    "Placement",
    "count_ranges",
    "counts_quickly",
    "movable",
    "placement_of_process",
    "placement_of_regions",
]

EXACT_BELOW_BYTES: Final = 512 << 20
"""Resident bytes up to which a process is counted in passing."""
_SPARSE_BYTES: Final = 64 << 30


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


def counts_quickly(resident_bytes: int, regions: Sequence[Region], most_bytes: int = EXACT_BELOW_BYTES) -> bool:
    """Whether a process is so small, and so little of its address space reserved, that it can be counted in passing."""
    return resident_bytes <= most_bytes and sum(end - start for start, end in movable(regions)) <= _SPARSE_BYTES


def placement_of_process(backend: Backend, process: Process, page_size: int, *, seed: int = 0) -> Placement:
    """Placement of a whole process: counted when it is small, else estimated.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    from numamig.observe.sampling import estimate_process  # which makes placements itself

    regions = backend.regions(process.pid)
    if counts_quickly(process.resident_bytes, regions):
        return Placement(count_ranges(backend, process.pid, movable(regions)))
    return estimate_process(backend, process, regions, page_size, seed=seed)
