"""The page map: pages counted in buckets of addresses, by node, at any zoom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend
from numamig.model.pages import PageRuns
from numamig.model.process import Region, RegionKind

__all__ = ["Grid", "PageMap", "count_buckets", "lay_out", "read_page_map"]


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of equal size that cover the regions of a process in address order; gaps between regions are left out."""

    bucket_bytes: int
    start: NDArray[np.uint64]
    """First address of each bucket, ascending, a multiple of ``bucket_bytes``; shape (buckets,)."""
    region: NDArray[np.int32]
    """Index of the region that a bucket shows (the first, where several share one); shape (buckets,)."""

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class PageMap:
    """Pages by bucket and node."""

    grid: Grid
    nodes: tuple[int, ...]
    """Node id of each column but the last."""
    counts: NDArray[np.int64]
    """Base pages; shape (buckets, nodes + 1). The last column counts pages on nodes that are not known."""
    huge: NDArray[np.int64]
    """Of these, pages in folios larger than a base page; shape (buckets,). Not known, and 0, where estimated."""
    error: NDArray[np.float32] | None = None
    """Half width of the 95 % interval of any node's share of a bucket's pages, present or not; shape (buckets,).

    None: all was counted."""
    read: NDArray[np.bool_] | None = None
    """Which buckets were looked at at all, shape (buckets,); None: every one."""

    @property
    def estimated(self) -> bool:
        return self.error is not None and bool(self.error.any())


def lay_out(regions: Sequence[Region], bucket_bytes: int) -> Grid:
    """The grid of all regions that can hold pages.

    :param bucket_bytes: bytes of a bucket; a power of two, at least a page
    """
    starts: list[NDArray[np.uint64]] = []
    owners: list[NDArray[np.int32]] = []
    covered = 0
    for number, region in enumerate(regions):
        if region.kind is RegionKind.SPECIAL:
            continue
        low = max(covered, region.start // bucket_bytes * bucket_bytes)
        if low >= region.end:
            continue
        covered = -(-region.end // bucket_bytes) * bucket_bytes
        starts.append(np.arange(low, covered, bucket_bytes, dtype=np.uint64))
        owners.append(np.full(len(starts[-1]), number, np.int32))
    if not starts:
        return Grid(bucket_bytes, np.empty(0, np.uint64), np.empty(0, np.int32))
    return Grid(bucket_bytes, np.concatenate(starts), np.concatenate(owners))


def count_buckets(runs: PageRuns, grid: Grid, nodes: Sequence[int], page_size: int) -> PageMap:
    """Count the pages of ``runs`` in the buckets of ``grid``; pages outside every bucket are left out."""
    columns = len(nodes) + 1
    counts = np.zeros((len(grid), columns), np.int64)
    huge = np.zeros(len(grid), np.int64)
    if len(runs) and len(grid):
        size = np.uint64(grid.bucket_bytes)
        first, last = runs.address // size, (runs.end - np.uint64(1)) // size
        pieces = (last - first).astype(np.int64) + 1
        run = np.repeat(np.arange(len(runs)), pieces)
        nth = (np.arange(len(run)) - (np.cumsum(pieces) - pieces)[run]).astype(np.uint64)
        bucket_start = (first[run] + nth) * size
        low = np.maximum(runs.address[run], bucket_start)
        high = np.minimum(runs.end[run], bucket_start + size)
        pages = ((high - low) // np.uint64(page_size)).astype(np.int64)
        bucket = np.searchsorted(grid.start, bucket_start)
        inside = (bucket < len(grid)) & (grid.start[np.minimum(bucket, len(grid) - 1)] == bucket_start)
        order = np.argsort(np.asarray(nodes, np.int16), kind="stable")
        ids = np.asarray(nodes, np.int16)[order]
        at = np.minimum(np.searchsorted(ids, runs.node), len(ids) - 1)
        column = np.where(ids[at] == runs.node, order[at], columns - 1)[run]
        flat = np.bincount((bucket * columns + column)[inside], weights=pages[inside], minlength=len(grid) * columns)
        counts = flat.astype(np.int64).reshape(len(grid), columns)
        large = inside & (runs.page_size[run] > page_size)
        huge = np.bincount(bucket[large], weights=pages[large], minlength=len(grid)).astype(np.int64)
    return PageMap(grid, tuple(nodes), counts, huge)


def read_page_map(backend: Backend, pid: int, grid: Grid, nodes: Sequence[int], page_size: int) -> PageMap:
    """Look at all pages that the grid covers, and count them.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    if not len(grid):
        return count_buckets(PageRuns.empty(), grid, nodes, page_size)
    size = grid.bucket_bytes
    breaks = np.flatnonzero(np.diff(grid.start) != np.uint64(size))
    first = np.concatenate(([0], breaks + 1))
    last = np.concatenate((breaks, [len(grid) - 1]))
    ranges = [(int(grid.start[a]), int(grid.start[b]) + size) for a, b in zip(first, last, strict=True)]
    return count_buckets(PageRuns.concatenate(backend.page_runs(pid, ranges)), grid, nodes, page_size)
