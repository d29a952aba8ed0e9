"""What became of the pages of a job, as the journal has it: step by step, and as an account that adds up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.destination import destination_from
from numamig.migrate.journal.packing import unpack_batch, unpack_even, unpack_left
from numamig.migrate.journal.store import BatchEntry, JobEntry, Journal
from numamig.migrate.ledger import UNKNOWN_REGION, Ledger, LedgerRow, Settled, settled_as
from numamig.migrate.left import LeftPages
from numamig.migrate.snapshot import JobState
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.pages import UNKNOWN_NODE

__all__ = ["Retold", "Step", "retell", "steps"]

_SETTLED_TOGETHER = 1 << 16  # pages


class Step(NamedTuple):
    """One batch of a job."""

    number: int
    """From 1 on, as ``undo --steps`` counts."""
    start: int
    end: int
    """Behind its last page; other pages may lie in between."""
    pages: int
    """Base pages that were meant."""
    stayed: OutcomeCounts | None
    """Pages that did not move in this step; None where nobody lived to write it: any of them may have moved."""

    @property
    def moved(self) -> int | None:
        return None if self.stayed is None else self.pages - self.stayed.total


@dataclass(frozen=True, slots=True)
class Retold:
    """The account of a job."""

    rows: list[LedgerRow]
    """Their regions are those of the job's entry."""
    unsettled: int
    """Base pages of steps without a result; in no row."""

    @property
    def outcomes(self) -> OutcomeCounts:
        return _counts(self.rows)

    @property
    def moved(self) -> dict[tuple[int, int], int]:
        """(from, to) → base pages."""
        ways: dict[tuple[int, int], int] = {}
        for row in self.rows:
            if row.outcome is Outcome.MOVED:
                ways[row.source, row.target] = ways.get((row.source, row.target), 0) + row.pages
        return dict(sorted(ways.items()))


def steps(journal: Journal, entry: JobEntry) -> Iterator[Step]:
    """In the order in which they were made."""
    for batch in journal.batches(entry.id):
        even = unpack_even(batch.intended)
        if even is not None:
            start, end = even.start, even.end
        else:
            intended = unpack_batch(batch.intended)
            start, end = int(intended.address[0]), int(intended.address[-1]) + int(intended.page_size[-1])
        left = None if batch.left is None else unpack_left(batch.left).counts(entry.page_size)
        yield Step(batch.number + 1, start, end, batch.pages, left)


def retell(journal: Journal, entry: JobEntry) -> Retold:
    """The account of a job from its batches: what the last step did about a page counts.

    What never was in a step (it had no turn, or was where it should be) is known by number alone, and only of a job
    that ended; where what was busy in one step was gone before the next, its region is not known any more.
    """
    ledger = Ledger([(start, end) for start, end, _, _ in entry.regions])
    stayed, unsettled = _Stayed(), 0
    for batch in journal.batches(entry.id):
        if batch.left is None:
            unsettled += batch.pages
        _book(batch, ledger, stayed, entry.page_size)
    for left in stayed.total().chunks(_SETTLED_TOGETHER, entry.page_size):
        ledger.book(settled_as(left, entry.page_size))
    rows = ledger.rows()
    if JobState(entry.state).ended:
        rows = _as_counted(rows, entry.outcomes, _where(entry))
    return Retold(rows, unsettled)


def _book(batch: BatchEntry, ledger: Ledger, stayed: _Stayed, page_size: int) -> None:
    even = unpack_even(batch.intended) if batch.left == b"" else None
    if even is not None:
        ledger.book_even(even, batch.pages)
        stayed.add(np.array([even.start], np.uint64), np.array([even.end], np.uint64), LeftPages.none())
        return
    meant = unpack_batch(batch.intended)
    end = meant.address + meant.page_size.view(np.uint64)
    left = unpack_left(batch.left) if batch.left else LeftPages.none()
    stayed.add(meant.address, end, left)
    if batch.left is None:
        return
    every = np.full(len(end), Outcome.MOVED, np.int8)
    if not len(left):
        ledger.book(Settled(meant.address, meant.page_size // page_size, meant.source, meant.target, every))
        return
    moved = LeftPages.of(meant.address, end, every, meant.source, meant.target).without(left.start, left.end)
    ledger.book(settled_as(moved, page_size))


class _Stayed:
    """What every step left, without what a later one tried again. Steps that lie apart are looked at together."""

    def __init__(self) -> None:
        self._before = LeftPages.none()
        self._tried: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []
        self._left: list[LeftPages] = []
        self._span: tuple[int, int] | None = None

    def add(self, start: NDArray[np.uint64], end: NDArray[np.uint64], left: LeftPages) -> None:
        low, high = int(start[0]), int(end[-1])
        if self._span is not None and low < self._span[1] and self._span[0] < high:
            self._close()
        self._span = (low, high) if self._span is None else (min(low, self._span[0]), max(high, self._span[1]))
        if len(self._before):
            self._tried.append((start, end))
        if len(left):
            self._left.append(left)

    def total(self) -> LeftPages:
        self._close()
        return self._before

    def _close(self) -> None:
        before = self._before
        if self._tried:
            start = np.concatenate([each for each, _ in self._tried])
            end = np.concatenate([each for _, each in self._tried])
            order = np.argsort(start)
            before = before.without(start[order], end[order])
        self._before = LeftPages.joined([before, *self._left])
        self._tried, self._left, self._span = [], [], None


def _where(entry: JobEntry) -> int:
    """The node that all pages of a job were to go to, where it is one."""
    nodes = destination_from(entry.request["to"]).nodes
    return nodes[0] if len(nodes) == 1 else UNKNOWN_NODE


def _as_counted(rows: list[LedgerRow], counted: OutcomeCounts, target: int) -> list[LedgerRow]:
    """Rows that add up to what was counted when the job ended; what differs is put down to no region."""
    over = _counts(rows) - counted
    told = []
    excess = {outcome: max(0, pages) for outcome, pages in over.items()}
    for row in sorted(rows, key=lambda row: -row.pages):
        less = min(row.pages, excess[row.outcome])
        excess[row.outcome] -= less
        told.append(row._replace(pages=row.pages - less))
    told += [
        LedgerRow(UNKNOWN_REGION, UNKNOWN_NODE, target, outcome, -pages) for outcome, pages in over.items() if pages < 0
    ]
    return sorted(row for row in told if row.pages)


def _counts(rows: list[LedgerRow]) -> OutcomeCounts:
    pages: dict[Outcome, int] = {}
    for row in rows:
        pages[row.outcome] = pages.get(row.outcome, 0) + row.pages
    return OutcomeCounts.of(pages)
