"""Pages that a job left where they were, as address intervals: what the next pass looks for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.model.outcome import Outcome, OutcomeCounts

__all__ = ["LeftPages"]


@dataclass(frozen=True, slots=True)
class LeftPages:
    """Ascending intervals that do not overlap; arrays of shape (intervals,)."""

    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    """Exclusive."""
    outcome: NDArray[np.int8]
    """Value of ``Outcome``, the same for all pages of the interval."""

    @classmethod
    def none(cls) -> LeftPages:
        return _NONE

    @classmethod
    def of(cls, start: NDArray[np.uint64], end: NDArray[np.uint64], outcome: NDArray[np.int8]) -> LeftPages:
        """Intervals in any order; neighbours with the same outcome are joined."""
        if not len(start):
            return cls.none()
        order = np.argsort(start, kind="stable")
        start, end, outcome = start[order], end[order], outcome[order]
        breaks = np.flatnonzero((start[1:] != end[:-1]) | (outcome[1:] != outcome[:-1])) + 1
        first = np.concatenate(([0], breaks))
        last = np.concatenate((breaks, [len(start)])) - 1
        return cls(start[first], end[last], outcome[first])

    @classmethod
    def joined(cls, parts: Sequence[LeftPages]) -> LeftPages:
        if not parts:
            return cls.none()
        return cls.of(
            np.concatenate([p.start for p in parts]),
            np.concatenate([p.end for p in parts]),
            np.concatenate([p.outcome for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.start)

    def with_outcome(self, *outcomes: Outcome) -> LeftPages:
        keep = np.isin(self.outcome, outcomes)
        return LeftPages(self.start[keep], self.end[keep], self.outcome[keep])

    def ranges(self) -> list[tuple[int, int]]:
        return [(int(a), int(b)) for a, b in zip(self.start, self.end, strict=True)]

    def between(self, low: int, high: int) -> LeftPages:
        """The parts within [low, high)."""
        start = np.maximum(self.start, np.uint64(low))
        end = np.minimum(self.end, np.uint64(high))
        keep = start < end
        return LeftPages(start[keep], end[keep], self.outcome[keep])

    def without(self, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> LeftPages:
        """The parts outside the given ascending intervals."""
        if not len(start) or not len(self):
            return self
        points = np.unique(np.concatenate((self.start, self.end, start, end)))
        piece, until = points[:-1], points[1:]
        mine = np.searchsorted(self.start, piece, side="right") - 1
        inside = (mine >= 0) & (piece < self.end[mine])
        theirs = np.searchsorted(start, piece, side="right") - 1
        inside &= ~((theirs >= 0) & (piece < end[theirs]))
        return LeftPages.of(piece[inside], until[inside], self.outcome[mine[inside]])

    def addresses(self, page_size: int) -> NDArray[np.uint64]:
        """Every single base page; shape (pages,)."""
        pages = ((self.end - self.start) // np.uint64(page_size)).astype(np.int64)
        which = np.repeat(np.arange(len(self)), pages)
        nth = np.arange(len(which)) - (np.cumsum(pages) - pages)[which]
        return self.start[which] + (nth * page_size).view(np.uint64)

    def counts(self, page_size: int) -> OutcomeCounts:
        pages = np.zeros(len(Outcome), np.int64)
        np.add.at(pages, self.outcome, ((self.end - self.start) // np.uint64(page_size)).astype(np.int64))
        return OutcomeCounts(pages)


_NONE = LeftPages(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int8))
