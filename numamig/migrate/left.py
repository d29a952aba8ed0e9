"""Pages that a job left where they were, as address intervals: what the next pass looks for again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """Value of ``Outcome``, the same for all pages of the interval; so are the others."""
    source: NDArray[np.int16]
    """Where they are."""
    target: NDArray[np.int32]
    """Where they were to go."""

    @classmethod
    def none(cls) -> LeftPages:
        return _NONE

    @classmethod
    def of(
        cls,
        start: NDArray[np.uint64],
        end: NDArray[np.uint64],
        outcome: NDArray[np.int8],
        source: NDArray[np.int16],
        target: NDArray[np.int32],
    ) -> LeftPages:
        """Intervals in any order; neighbours that are alike are joined."""
        if not len(start):
            return cls.none()
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
        outcome, source, target = outcome[order], source[order], target[order]
        breaks = start[1:] != end[:-1]
        for alike in (outcome, source, target):
            breaks |= alike[1:] != alike[:-1]
        edges = np.flatnonzero(breaks) + 1
        first = np.concatenate(([0], edges))
        last = np.concatenate((edges, [len(start)])) - 1
        return cls(start[first], end[last], outcome[first], source[first], target[first])

    @classmethod
    def joined(cls, parts: Sequence[LeftPages]) -> LeftPages:
        if not parts:
            return cls.none()
        return cls.of(
            np.concatenate([p.start for p in parts]),
            np.concatenate([p.end for p in parts]),
            np.concatenate([p.outcome for p in parts]),
            np.concatenate([p.source for p in parts]),
            np.concatenate([p.target for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.start)

    def with_outcome(self, *outcomes: Outcome) -> LeftPages:
        return self.only(np.isin(self.outcome, outcomes))

    def ranges(self) -> list[tuple[int, int]]:
        return [(int(a), int(b)) for a, b in zip(self.start, self.end, strict=True)]

    def only(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> LeftPages:
        """Some of the intervals."""
        return LeftPages(
            self.start[which], self.end[which], self.outcome[which], self.source[which], self.target[which]
        )

    def within(self, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> LeftPages:
        """The parts inside the given ascending intervals."""
        return self._divided(start, end, inside=True)

    def without(self, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> LeftPages:
        """The parts outside the given ascending intervals."""
        return self._divided(start, end, inside=False)

    def _divided(self, start: NDArray[np.uint64], end: NDArray[np.uint64], *, inside: bool) -> LeftPages:
        if not len(start) or not len(self):
            return self.none() if inside else self
        points = np.unique(np.concatenate((self.start, self.end, start, end)))
        piece, until = points[:-1], points[1:]
        mine = np.searchsorted(self.start, piece, side="right") - 1
        kept = (mine >= 0) & (piece < self.end[mine])
        theirs = np.searchsorted(start, piece, side="right") - 1
        kept &= ((theirs >= 0) & (piece < end[theirs])) == inside
        of = mine[kept]
        return LeftPages.of(piece[kept], until[kept], self.outcome[of], self.source[of], self.target[of])

    def chunks(self, pages: int, page_size: int) -> Iterator[LeftPages]:
        """In pieces of at most twice so many base pages."""
        most = np.uint64(pages * page_size)
        pieces = ((self.end - self.start + most - np.uint64(1)) // most).astype(np.int64)
        which = np.repeat(np.arange(len(self)), pieces)
        nth = np.arange(len(which)) - (np.cumsum(pieces) - pieces)[which]
        start = self.start[which] + nth.view(np.uint64) * most
        end = np.minimum(start + most, self.end[which])
        cut = LeftPages(start, end, self.outcome[which], self.source[which], self.target[which])
        chunk = np.cumsum(end - start) // most
        for number in np.unique(chunk):
            yield cut.only(chunk == number)

    def addresses(self, page_size: int) -> NDArray[np.uint64]:
        """Every single base page; shape (pages,)."""
        pages = ((self.end - self.start) // np.uint64(page_size)).astype(np.int64)
        which = np.repeat(np.arange(len(self)), pages)
        nth = np.arange(len(which)) - (np.cumsum(pages) - pages)[which]
        return self.start[which] + (nth * page_size).view(np.uint64)

    def pages(self, page_size: int) -> int:
        """Base pages in all."""
        return int((self.end - self.start).sum()) // page_size

    def counts(self, page_size: int) -> OutcomeCounts:
        pages = np.zeros(len(Outcome), np.int64)
        np.add.at(pages, self.outcome, ((self.end - self.start) // np.uint64(page_size)).astype(np.int64))
        return OutcomeCounts(pages)


_NONE = LeftPages(
    np.empty(0, np.uint64),
    np.empty(0, np.uint64),
    np.empty(0, np.int8),
    np.empty(0, np.int16),
    np.empty(0, np.int32),
)
