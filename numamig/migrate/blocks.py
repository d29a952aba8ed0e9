"""Memory in blocks that can have their turn in any order: no folio lies in two of them, and there are not too many."""

from __future__ import annotations

from bisect import bisect_right
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

    def within(self, ranges: Ranges, blocks: Sequence[int], cursor: int = 0) -> list[tuple[int, int]]:
        """What of ``ranges`` lies in some blocks, that of the first one only from ``cursor`` on where it lies in it.

        :param blocks: in any order
        """
        which = np.asarray(blocks, np.intp)
        parts: list[tuple[int, int]] = []
        for low, high, block in sorted(zip(self.start[which].tolist(), self.end[which].tolist(), blocks, strict=True)):
            if block == blocks[0] and low <= cursor < high:
                low = cursor
            number = max(0, bisect_right(ranges, low, key=_start) - 1)
            while number < len(ranges) and ranges[number][0] < high:
                start, end = max(ranges[number][0], low), min(ranges[number][1], high)
                if parts and parts[-1][1] == start < end:
                    parts[-1] = (parts[-1][0], end)
                elif start < end:
                    parts.append((start, end))
                number += 1
        return parts


def _start(part: tuple[int, int]) -> int:
    return part[0]


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
