"""The account of a job: what became of its pages, by region, source and target. The one place where they add up."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.batch import Even
from numamig.migrate.left import LeftPages
from numamig.migrate.plan import Plan
from numamig.model.outcome import NO_ACCESS, Outcome, OutcomeCounts
from numamig.model.pages import UNKNOWN_NODE

__all__ = ["UNKNOWN_REGION", "Ledger", "LedgerRow", "Settled", "settled_as"]

UNKNOWN_REGION = -1
_NODES = 1 << 11
"""Codes for a node: those of Linux (1,024 at most) and ``UNKNOWN_NODE``."""
_OUTCOMES = 16

_Cell = tuple[int, int, int, int]
"""(region, source, target, outcome)."""


class Settled(NamedTuple):
    """Folios, or pieces of them, with what became of each; arrays of shape (folios,)."""

    address: NDArray[np.uint64]
    pages: NDArray[np.int64]
    """Base pages of each."""
    source: NDArray[np.int16]
    target: NDArray[np.int32]
    outcome: NDArray[np.int8]

    def only(self, which: NDArray[np.bool_]) -> Settled:
        return Settled(
            self.address[which], self.pages[which], self.source[which], self.target[which], self.outcome[which]
        )

    @classmethod
    def joined(cls, parts: Sequence[Settled]) -> Settled:
        return cls(
            np.concatenate([part.address for part in parts]),
            np.concatenate([part.pages for part in parts]),
            np.concatenate([part.source for part in parts]),
            np.concatenate([part.target for part in parts]),
            np.concatenate([part.outcome for part in parts]),
        )


class LedgerRow(NamedTuple):
    """Base pages of one region that had one source, one target and one outcome."""

    region: int
    """Index into the plan's parts; ``UNKNOWN_REGION`` where the process ended before that could be seen."""
    source: int
    """``UNKNOWN_NODE`` where it was not known."""
    target: int
    outcome: Outcome
    pages: int

    def as_dict(self, plan: Plan) -> dict[str, object]:
        """What ``--json`` prints of it."""
        if not 0 <= self.region < len(plan.selected):
            return self.told(None, None, plan.page_size, closed=False)
        region = plan.selected[self.region]
        closed = region.permissions.startswith("---")
        return self.told(plan.ranges[self.region][0], region.label, plan.page_size, closed=closed)

    def told(self, start: int | None, region: str | None, page_size: int, *, closed: bool | None) -> dict[str, object]:
        """The same, of a region that begins there and is called that.

        :param closed: nobody may access it; None where that is not known
        """
        why, helps = self.outcome.why, self.outcome.help
        if self.outcome is Outcome.HINTED and closed is not False:
            why, helps = NO_ACCESS if closed else (f"{why}, or {NO_ACCESS[0]}", helps)
        return {
            "start": start,
            "region": region,
            "from": None if self.source == UNKNOWN_NODE else self.source,
            "to": self.target,
            "outcome": self.outcome.key,
            "pages": self.pages,
            "bytes": self.pages * page_size,
            "why": why or None,
            "help": helps or None,
        }


class Ledger:
    """Safe to read from any thread: what is seen adds up at every moment."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        """
        :param ranges: the plan's parts, ascending; what is booked is put down to one of them
        """
        self._starts = [start for start, _ in ranges]
        self._ends = [end for _, end in ranges]
        self._edges = np.array(self._starts, np.uint64)
        self._cells: dict[_Cell, int] = {}
        self._totals = [0] * len(Outcome)
        self._lock = threading.Lock()

    @property
    def chosen(self) -> int:
        """Pages, each once."""
        with self._lock:
            return sum(self._totals)

    @property
    def outcomes(self) -> OutcomeCounts:
        with self._lock:
            return OutcomeCounts(tuple(self._totals))

    def rows(self) -> list[LedgerRow]:
        """Ascending by region, source, target and outcome."""
        with self._lock:
            cells = self._cells.copy()
        return [
            LedgerRow(region, source, target, Outcome(outcome), pages)
            for (region, source, target, outcome), pages in sorted(cells.items())
            if pages
        ]

    def moved(self) -> dict[tuple[int, int], int]:
        """(from, to) → base pages."""
        with self._lock:
            cells = self._cells.copy()
        ways: dict[tuple[int, int], int] = {}
        for (_, source, target, outcome), pages in cells.items():
            if outcome == Outcome.MOVED and pages:
                ways[source, target] = ways.get((source, target), 0) + pages
        return ways

    def book_even(self, even: Even, pages: int) -> None:
        """A batch of folios that are all alike, and all moved."""
        region = bisect.bisect_right(self._starts, even.start) - 1
        if region < 0 or even.end > self._ends[region]:
            address = np.arange(even.start, even.end, even.page_size, dtype=np.uint64)
            count = len(address)
            self.book(
                Settled(
                    address,
                    np.full(count, pages // count),
                    np.full(count, even.source, np.int16),
                    np.full(count, even.target, np.int32),
                    np.zeros(count, np.int8),
                )
            )
            return
        cell = (region, even.source, even.target, 0)
        with self._lock:
            self._cells[cell] = self._cells.get(cell, 0) + pages
            self._totals[0] += pages

    def book(self, settled: Settled, instead_of: LeftPages | None = None, page_size: int = 4096) -> None:
        """Book pages; those that were booked before, busy in an earlier pass, are taken out at the same moment."""
        cells = self._count(settled)
        before = self._count(settled_as(instead_of, page_size)) if instead_of is not None and len(instead_of) else {}
        with self._lock:
            for sign, changes in ((1, cells), (-1, before)):
                for cell, pages in changes.items():
                    self._cells[cell] = self._cells.get(cell, 0) + sign * pages
                    self._totals[cell[3]] += sign * pages

    def book_unseen(self, pages: int, target: int, outcome: Outcome) -> None:
        """Pages of which nothing but their number is known."""
        cell = (UNKNOWN_REGION, UNKNOWN_NODE, target, int(outcome))
        with self._lock:
            self._cells[cell] = self._cells.get(cell, 0) + pages
            self._totals[outcome] += pages

    def _count(self, settled: Settled) -> dict[_Cell, int]:
        if not len(settled.address):
            return {}
        if (cells := self._count_alike(settled)) is not None:
            return cells
        region = np.searchsorted(self._edges, settled.address, side="right") - 1
        low = int(region.min())
        code = (region - low) * _OUTCOMES + settled.outcome
        code = (code * _NODES + (settled.source.astype(np.int64) + 1)) * _NODES + settled.target
        if (code == code[0]).all():
            return {self._cell(int(code[0]), low): int(settled.pages.sum())}
        codes, place = np.unique(code, return_inverse=True)
        sums = np.bincount(place, weights=settled.pages, minlength=len(codes)).astype(np.int64)
        return {self._cell(c, low): n for c, n in zip(codes.tolist(), sums.tolist(), strict=True)}

    def _count_alike(self, settled: Settled) -> dict[_Cell, int] | None:
        """Where they differ in nothing but their source, as most scattered batches do; a third of the cost."""
        address, target, outcome = settled.address, settled.target, settled.outcome
        region = bisect.bisect_right(self._starts, int(address.min())) - 1
        if region < 0 or region != bisect.bisect_right(self._starts, int(address.max())) - 1:
            return None
        if (target != target[0]).any() or (outcome != outcome[0]).any():
            return None
        sums = np.bincount(settled.source - UNKNOWN_NODE, weights=settled.pages)
        sources = np.flatnonzero(sums)
        pages = sums[sources].astype(np.int64)
        alike = int(target[0]), int(outcome[0])
        each = zip(sources.tolist(), pages.tolist(), strict=True)
        return {(region, source + UNKNOWN_NODE, *alike): count for source, count in each}

    def _cell(self, code: int, low: int) -> _Cell:
        rest, target = divmod(code, _NODES)
        rest, source = divmod(rest, _NODES)
        region, outcome = divmod(rest, _OUTCOMES)
        return region + low, source - 1, target, outcome


def settled_as(left: LeftPages, page_size: int) -> Settled:
    """Every base page by itself, since an interval may reach over the end of a region."""
    pages = ((left.end - left.start) // np.uint64(page_size)).astype(np.int64)
    address = left.addresses(page_size)
    return Settled(
        address,
        np.ones(len(address), np.int64),
        np.repeat(left.source, pages),
        np.repeat(left.target, pages),
        np.repeat(left.outcome, pages),
    )
