"""Where the pages are that jobs left behind, and why: for the page map, by bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.left import LeftPages
from numamig.model.outcome import Outcome
from numamig.observe.pagemap import Grid

__all__ = ["NONE_STAYED", "Stayed", "StayedSeen", "seen_of"]

_MOST: Final = 1 << 17
"""Intervals that are kept of one job: a few megabytes."""
_TOGETHER: Final = 256
"""Parts that are joined at a time."""
NONE_STAYED: Final = -1


class Stayed:
    """Pages of one job that it will not try again. One thread adds; any may read."""

    def __init__(self) -> None:
        self._parts: tuple[LeftPages, ...] = ()
        self._count = 0
        self.complete = True
        """There were not too many to be kept."""

    def add(self, left: LeftPages) -> None:
        if not len(left) or not self.complete:
            return
        self._count += len(left)
        parts = (*self._parts, left)
        if len(parts) > _TOGETHER or self._count > _MOST:
            parts = (LeftPages.joined(parts),)
            self._count = len(parts[0])
            self.complete = self._count <= _MOST
        self._parts = parts

    @property
    def pages(self) -> LeftPages:
        return LeftPages.joined(self._parts)


@dataclass(frozen=True, slots=True)
class StayedSeen:
    """What several jobs left behind of one process; the later ones count."""

    jobs: tuple[int, ...]
    """Their numbers."""
    left: tuple[LeftPages, ...]
    """One for each."""

    def for_grid(self, grid: Grid) -> NDArray[np.int64]:
        """The outcome that most of the pages of each bucket have that stayed, ``NONE_STAYED`` for none."""
        found = np.full(len(grid), NONE_STAYED, np.int64)
        for left in self.left:
            mine = _most_frequent(left, grid)
            found = np.where(mine == NONE_STAYED, found, mine)
        return found

    def pages_of(self, start: int, end: int, page_size: int) -> dict[Outcome, int]:
        """Pages in [start, end) by outcome, of the latest job that left any there."""
        where = np.array([start], np.uint64), np.array([end], np.uint64)
        for left in reversed(self.left):
            counts = left.within(*where).counts(page_size)
            some = {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}
            if some:
                return some
        return {}


def seen_of(jobs: Sequence[tuple[int, LeftPages]]) -> StayedSeen | None:
    """None where nothing stayed."""
    some = [(number, left) for number, left in jobs if len(left)]
    return StayedSeen(tuple(n for n, _ in some), tuple(left for _, left in some)) if some else None


def _most_frequent(left: LeftPages, grid: Grid) -> NDArray[np.int64]:
    found = np.full(len(grid), NONE_STAYED, np.int64)
    if not len(left) or not len(grid):
        return found
    most = np.zeros(len(grid), np.int64)
    for outcome in np.unique(left.outcome).tolist():
        some = left.only(left.outcome == outcome)
        held = _covered(some, grid.start + np.uint64(grid.bucket_bytes)) - _covered(some, grid.start)
        more = held > most
        found[more], most[more] = outcome, held[more]
    return found


def _covered(left: LeftPages, address: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bytes of the intervals that lie below each address."""
    size = (left.end - left.start).astype(np.int64)
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(size)))
    nth = np.searchsorted(left.start, address, side="right")
    last = np.maximum(nth - 1, 0)
    within = np.minimum(address - np.minimum(left.start[last], address), left.end[last] - left.start[last])
    covered: NDArray[np.int64] = np.where(nth > 0, before[last] + within.astype(np.int64), 0)
    return covered
