"""Whether pages are where they should be: all of them, counted, as after a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, Hold
from numamig.model.pages import Ranges

__all__ = ["Expected", "Verified", "columns", "verify"]

Expected = Sequence[tuple[int, int, int]]
"""Where pages should be: (start, end, node), addresses of whole pages; in any order, without overlaps."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Where pages are, counted; base pages."""

    expected: int
    """Pages of the ranges, present or not."""
    in_place: int
    elsewhere: Mapping[int, int]
    """Node → pages that should be on another; ``UNKNOWN_NODE`` for those that are present, but nobody knows where."""
    page_size: int
    """Bytes of a base page."""

    def __add__(self, other: Verified) -> Verified:
        """Of other ranges of the same process."""
        nodes = sorted({*self.elsewhere, *other.elsewhere})
        elsewhere = {node: self.elsewhere.get(node, 0) + other.elsewhere.get(node, 0) for node in nodes}
        return Verified(self.expected + other.expected, self.in_place + other.in_place, elsewhere, self.page_size)

    @property
    def present(self) -> int:
        return self.in_place + sum(self.elsewhere.values())

    @property
    def absent(self) -> int:
        return self.expected - self.present

    @property
    def in_place_bytes(self) -> int:
        return self.in_place * self.page_size

    @property
    def elsewhere_bytes(self) -> dict[int, int]:
        return {node: pages * self.page_size for node, pages in self.elsewhere.items()}

    @property
    def share(self) -> float:
        """Of the present pages that are in place, 0 to 1; 1 where none are present."""
        return self.in_place / self.present if self.present else 1.0


def verify(backend: Backend, hold: Hold, expected: Expected) -> Verified:
    """Count where all pages are now. Walks all of the ranges: once after a job, never on a timer.

    :raises TargetGone: the process ended, or replaced its memory.
    :raises RefusedError: the caller may not look.
    """
    page = backend.topology().page_size
    start, end, node = columns(expected)
    here: dict[int, int] = {}
    in_place = seen = 0
    for runs in hold.page_runs(_joined(start, end)):
        low = np.maximum(runs.address.astype(np.int64), seen)  # a folio that two ranges share may be shown twice
        high = runs.end.astype(np.int64)
        first = np.searchsorted(end, low, side="right")
        several = np.maximum(np.searchsorted(start, high, side="left") - first, 0)
        run = np.repeat(np.arange(len(runs)), several)
        nth = first[run] + np.arange(len(run)) - (np.cumsum(several) - several)[run]
        pages = np.maximum(np.minimum(high[run], end[nth]) - np.maximum(low[run], start[nth]), 0) // page
        right = runs.node[run] == node[nth]
        in_place += int(pages[right].sum())
        for other in np.unique(runs.node[run][~right]).tolist():
            here[other] = here.get(other, 0) + int(pages[~right & (runs.node[run] == other)].sum())
        seen = max(seen, int(high[-1])) if len(runs) else seen
    return Verified(int((end - start).sum()) // page, in_place, {n: p for n, p in sorted(here.items()) if p}, page)


def columns(expected: Expected) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Start, end and node of ranges that are not empty, ascending; shape (ranges,) each."""
    table = np.array(sorted(part for part in expected if part[0] < part[1]), np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _joined(start: NDArray[np.int64], end: NDArray[np.int64]) -> Ranges:
    """The ranges, neighbours as one."""
    if not len(start):
        return []
    apart = np.flatnonzero(start[1:] != end[:-1])
    first, last = np.append(0, apart + 1), np.append(apart, len(start) - 1)
    return list(zip(start[first].tolist(), end[last].tolist(), strict=True))
