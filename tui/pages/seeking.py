"""Finding pages on the map: which cells hold pages of a class, and where the next run of such cells begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.request import Mapped
from numamig.model.process import Region
from numamig.observe.pagemap import Grid, PageMap
from tui.plans.addresses import ranges_of, touched
from tui.plans.choice import Only

__all__ = ["Search", "beyond", "holding", "meant_regions", "on_nodes", "within_view"]


def meant_regions(only: Only, regions: Sequence[Region]) -> list[Region]:
    """Regions that can hold such pages."""
    return [
        region
        for region in regions
        if region.matches(only.kinds)
        and (not only.paths or any(fnmatchcase(region.path, pattern) for pattern in only.paths))
    ]


def on_nodes(page_map: PageMap, nodes: Sequence[int]) -> NDArray[np.bool_]:
    """Which buckets hold pages on any of these nodes; shape (buckets,)."""
    columns = [column for column, node in enumerate(page_map.nodes) if node in nodes]
    found: NDArray[np.bool_] = page_map.counts[:, columns].sum(axis=1) > 0
    return found


def holding(
    only: Only, page_map: PageMap, regions: Sequence[Region], shared: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """Which buckets hold pages of a class, shape (buckets,), as far as is known: where it is not, they count.

    :param shared: share of the pages of each bucket that others map too, NaN where not known, shape (buckets,)
    """
    counts, grid = page_map.counts, page_map.grid
    found = counts.sum(axis=1) > 0 if only.sources is None else on_nodes(page_map, only.sources)
    if only.kinds or only.paths:
        found = found & touched(ranges_of(meant_regions(only, regions)), grid.start, grid.bucket_bytes)
    if only.huge is not None:
        known = page_map.huge if only.huge else counts.sum(axis=1) - page_map.huge
        estimated = np.zeros(len(grid), np.bool_) if page_map.error is None else page_map.error > 0
        found = found & ((known > 0) | estimated)
    if only.mapped is not Mapped.ANY and shared is not None:
        found = found & (shared != (0 if only.mapped is Mapped.SHARED else 1))
    return found


@dataclass(frozen=True, slots=True)
class Search:
    """How far the search for a run of cells has come. A run ends where cells do not hold such pages, or at a gap."""

    way: int
    """1 towards higher addresses, -1 towards lower ones."""
    at: int
    """What lies between here and where it began was looked at: the first address that was not, or was last."""
    inside: bool
    """The cell next to ``at`` that was looked at is part of a run."""
    origin: int
    """Where it began."""


def within_view(
    search: Search, grid: Grid, found: NDArray[np.bool_], *, first: bool, last: bool
) -> int | Search | None:
    """The address of the run, or how far the search has come behind these cells; None where there is no other run.

    :param found: which of the buckets count, shape (buckets,)
    :param first: nothing comes before the first bucket
    :param last: nothing comes behind the last one
    """
    start, size = grid.start, np.uint64(grid.bucket_bytes)
    joins = np.append(False, (start[1:] - start[:-1]) == size) if len(start) else np.zeros(0, np.bool_)
    begins = found & ~(joins & np.append(False, found[:-1]))
    if search.way > 0:
        ahead = np.flatnonzero(start >= np.uint64(search.at))
        if len(ahead):
            nth = int(ahead[0])
            begins[nth] = found[nth] and not (search.inside and int(start[nth]) == search.at)
            hits = ahead[begins[ahead]]
            if len(hits):
                return int(start[hits[0]])
            search = replace(search, at=int(start[-1]) + grid.bucket_bytes, inside=bool(found[-1]))
        return None if last else search
    behind = np.flatnonzero(start < np.uint64(search.at))
    if search.inside:
        nth = int(behind[-1]) if len(behind) else -1
        if (nth < 0 and first) or (nth >= 0 and not (found[nth] and int(start[nth]) + grid.bucket_bytes == search.at)):
            return search.at
    if len(behind):
        begins[0] = found[0] and first
        hits = behind[begins[behind]]
        if len(hits):
            return int(start[hits[-1]])
        search = replace(search, at=int(start[0]), inside=bool(found[0]))
    return None if first else search


def beyond(search: Search, grid: Grid, some: NDArray[np.bool_], all_: NDArray[np.bool_]) -> Search | None:
    """Over coarse buckets, to the next one that is worth a closer look; None where there is none.

    :param some: which of them hold pages that count, shape (buckets,)
    :param all_: which hold nothing else
    """
    size = grid.bucket_bytes
    order = range(len(grid)) if search.way > 0 else range(len(grid) - 1, -1, -1)
    at, inside = search.at, search.inside
    for nth in order:
        low = int(grid.start[nth])
        high = low + size
        if (high <= at) if search.way > 0 else (low >= at):
            continue
        near, far = (max(low, at), high) if search.way > 0 else (min(high, at), low)
        if search.way < 0 and inside and (near != at or not some[nth]):
            return replace(search, at=at)  # the run begins right here
        inside = inside and near == at
        if some[nth] and not (inside and all_[nth]):
            return replace(search, at=near, inside=inside)
        inside = inside and bool(some[nth])
        at = far
    return replace(search, at=at) if search.way < 0 and inside else None
