"""Memory in blocks that can have their turn in any order: no folio lies in two of them, and there are not too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Hold
from numamig.migrate.plan import Plan
from numamig.model.pages import PageRuns, Ranges

__all__ = ["MOST_BLOCKS", "Blocks", "divide"]

MOST_BLOCKS = 1 << 16
"""All that is remembered of a job's memory, however large it is."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Windows of addresses, ascending and apart; arrays of shape (blocks,)."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    """Exclusive."""
    fine: bool
    """They are as small as can be: of base pages, or of the folios that were seen."""

    def __len__(self) -> int:
        return len(self.start)

    def at(self, address: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The last block that begins at or below each address; -1 where none does."""
        return np.searchsorted(self.start, address, side="right") - 1

    def hulls(self, parts: Iterable[PageRuns]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """From the first to the last present page of each block, as (start, end); both 0 where there is none."""
        low, high = np.full(len(self), 2**64 - 1, np.uint64), np.zeros(len(self), np.uint64)
        for runs in parts:
            if not len(runs):
                continue
            first = np.maximum(self.at(runs.address), 0)
            count = self.at(runs.end - np.uint64(1)) - first + 1
            kept = np.flatnonzero(count > 0)  # the others end below the first block
            first, count = first[kept], count[kept]
            which = np.repeat(kept, count)
            block = np.repeat(first, count) + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
            start, end = (
                np.maximum(runs.address[which], self.start[block]),
                np.minimum(runs.end[which], self.end[block]),
            )
            inside = start < end
            np.minimum.at(low, block[inside], start[inside])
            np.maximum.at(high, block[inside], end[inside])
        low[high == 0] = 0
        return low, high

    def within(
        self, ranges: NDArray[np.uint64], blocks: Sequence[int] | NDArray[np.intp], cursor: int = 0
    ) -> list[tuple[int, int]]:
        """What of some ranges lies in some blocks, that of the first block only from ``cursor`` on if it lies in it.

        :param ranges: shape (ranges, 2), ascending
        :param blocks: in any order
        """
        if not len(blocks) or not len(ranges):
            return []
        which = np.sort(np.asarray(blocks, np.intp))
        low, high = self.start[which], self.end[which]
        if self.start[blocks[0]] <= cursor < self.end[blocks[0]]:
            low[np.searchsorted(which, blocks[0])] = cursor
        first = np.searchsorted(ranges[:, 1], low, side="right")
        count = np.maximum(np.searchsorted(ranges[:, 0], high) - first, 0)
        block = np.repeat(np.arange(len(which)), count)
        number = np.repeat(first, count) + np.arange(len(block)) - np.repeat(np.cumsum(count) - count, count)
        start, end = np.maximum(ranges[number, 0], low[block]), np.minimum(ranges[number, 1], high[block])
        if not len(start):
            return []
        breaks = np.flatnonzero(start[1:] != end[:-1]) + 1
        start, end = start[np.concatenate(([0], breaks))], end[np.concatenate((breaks - 1, [len(end) - 1]))]
        return list(zip(start.tolist(), end.tolist(), strict=True))


def divide(hold: Hold, plan: Plan, ranges: Ranges) -> Blocks:
    """Where there are no more pages than there may be blocks, one for each folio; else of a huge page or several.

    :raises TargetGone: the process ended.
    """
    start = np.array([low for low, _ in ranges], np.uint64)
    end = np.array([high for _, high in ranges], np.uint64)
    # What is not seen as one folio, and may be one, stays together.
    unit = np.full(len(ranges), max(plan.page_size, plan.largest_folio), np.uint64)
    fine = _count(start, end, unit) <= MOST_BLOCKS
    if fine:
        return _fine(hold, *_windows(start, end, unit), ranges)
    unit[:] = max(plan.huge_page_size, int(unit[0]))
    unit = np.maximum(unit, _mapped_by(plan, start))
    while _count(start, end, unit) > MOST_BLOCKS:
        unit = np.maximum(unit, unit.min() * np.uint64(2))
    return Blocks(*_windows(start, end, unit), fine=False)


def _count(start: NDArray[np.uint64], end: NDArray[np.uint64], unit: NDArray[np.uint64]) -> int:
    """How many windows of these sizes the ranges touch, those that two ranges have in common counted once."""
    first, last = start // unit, (end - np.uint64(1)) // unit
    common = (first[1:] * unit[1:] == last[:-1] * unit[:-1]) & (unit[1:] == unit[:-1])
    return int((last - first).sum()) + len(start) - int(np.count_nonzero(common))


def _windows(
    start: NDArray[np.uint64], end: NDArray[np.uint64], unit: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The windows that the ranges touch, as (start, end); their sizes are powers of two, so that none overlap."""
    first = start // unit
    count = ((end - np.uint64(1)) // unit - first).astype(np.int64) + 1
    which = np.repeat(np.arange(len(start)), count)
    nth = (np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)).astype(np.uint64)
    low, kept = np.unique((first[which] + nth) * unit[which], return_index=True)
    return low, low + unit[which[kept]]


def _fine(hold: Hold, start: NDArray[np.uint64], end: NDArray[np.uint64], ranges: Ranges) -> Blocks:
    """Windows of pages, those of one large folio made one."""
    runs = PageRuns.concatenate(hold.page_runs(ranges))
    address, size, _ = runs.folios()
    large = size > (end[0] - start[0]).astype(np.int64) if len(start) else np.zeros(0, np.bool_)
    if not large.any():
        return Blocks(start, end, fine=True)
    head, first = np.unique(address[large], return_index=True)
    folio = np.maximum(np.searchsorted(head, start, side="right") - 1, 0)
    folio_end = head[folio] + size[large][first[folio]].view(np.uint64)
    inside = (start >= head[folio]) & (start < folio_end)
    start, kept = np.unique(np.where(inside, head[folio], start), return_index=True)
    return Blocks(start, np.where(inside, folio_end, end)[kept], fine=True)


def _mapped_by(plan: Plan, start: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bytes of the pages by which the region at each address is mapped: a pool's are not cut either."""
    if not plan.selected:
        return np.ones(len(start), np.uint64)
    region = np.searchsorted(np.array([low for low, _ in plan.ranges], np.uint64), start, side="right") - 1
    return np.array([each.page_size for each in plan.selected], np.uint64)[np.maximum(region, 0)]
