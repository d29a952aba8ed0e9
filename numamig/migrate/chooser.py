"""Just in time, and from the pages as they are at that moment: the next batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from numamig.backends.base import Backend, ClearsHints, Hold
from numamig.migrate.batch import Batch, Even
from numamig.migrate.destination import Interleave, Node, NodeMap
from numamig.migrate.ledger import Settled
from numamig.migrate.plan import Plan
from numamig.migrate.request import Mapped, Request
from numamig.migrate.select import meant, narrowed
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges

__all__ = ["Chooser", "Chooses", "ChoosesFor", "Place", "Units", "choose_by_address"]

_WIDEST_LOOK = 256 << 20  # bytes looked at in one go while searching through sparse memory


class Place(NamedTuple):
    """How far a chooser has come."""

    cursor: int
    """Everything below has been chosen, or was passed over."""
    exhausted: bool
    next_range: int = 0
    """The first range that is not behind the cursor."""


class Units(NamedTuple):
    """Sizes in which memory comes, in bytes."""

    page: int
    huge: int
    """The largest; that of a page on a machine without huge pages."""
    folio: int = 0
    """The largest folios that are shown as pages."""


class Chooses(Protocol):
    """What hands out the batches of one pass."""

    place: Place
    passed: Settled | None
    """Pages that the last batch passed over because their outcome is known already; None: there were none."""

    @property
    def remaining(self) -> Ranges:
        """What no batch has come to."""
        ...

    def next_batch(self, most_pages: int) -> Batch:
        """At most ``most_pages`` base pages (but at least one folio); may be empty, and is at the end.

        :raises TargetGone: the process ended.
        """
        ...


ChoosesFor = Callable[[Backend, Hold, Plan, Ranges | None], Chooses]
"""Makes what chooses the batches of a pass: (backend, hold, plan, ranges that it is about or None for all)."""


def choose_by_address(backend: Backend, hold: Hold, plan: Plan, ranges: Ranges | None) -> Chooses:
    """Chooses from the pages as they are, those that the plan's request means, ascending.

    :param ranges: only there; None: wherever the plan says
    """
    where = plan.ranges if ranges is None else ranges
    units = Units(plan.page_size, plan.huge_page_size or plan.page_size, plan.largest_folio)
    return Chooser(backend, hold, plan.request, where, units)


class Chooser:
    """Walks the ranges of a pass and hands out one batch after the other, from the pages as they are at that moment."""

    def __init__(self, backend: Backend, hold: Hold, request: Request, ranges: Ranges, units: Units) -> None:
        self._backend = backend
        self._hold = hold
        self._request = request
        self._ranges = list(ranges)
        self._page_size, self._huge, self._largest_folio = units
        self._look_bytes = 0
        self._narrows = request.mapped is not Mapped.ANY
        self._tells_nodes_apart = request.sources is not None or isinstance(request.to, NodeMap)
        self._clears = True
        """Nothing has refused yet to clear marks of NUMA balancing."""
        self.passed: Settled | None = None
        self.place = Place(ranges[0][0] if ranges else 0, not ranges)

    @property
    def remaining(self) -> list[tuple[int, int]]:
        """What has not been looked at yet."""
        return [] if self.place.exhausted else list(self._ahead())

    def next_batch(self, most_pages: int) -> Batch:
        """At most ``most_pages`` base pages (but at least one folio); an empty batch when the ranges are exhausted.

        :raises TargetGone: the process ended.
        """
        wanted = most_pages * self._page_size
        parts: list[PageRuns] = []
        found = 0
        self._look_bytes = max(wanted, self._look_bytes // 2)
        while found < wanted and not self.place.exhausted:
            window = self._window()
            runs = self._look(window)
            even = self._even(runs, wanted) if not parts else None
            if even is not None:
                self._advance(even.end if even.folios < int(runs.count[0]) else window[-1][1])
                return Batch.of(even)
            runs = _each_once(self._meant(runs), self.place.cursor)
            runs, stop = self._cut(runs, wanted - found, first=not parts)
            if len(runs):
                parts.append(runs)
                found += int(runs.size_bytes.sum())
            self._advance(window[-1][1] if stop is None else stop)
            if stop is not None:
                break
            self._look_bytes = min(self._look_bytes * 2, max(_WIDEST_LOOK, wanted))
        address, size, node = PageRuns.concatenate(parts).folios()
        return Batch(address, size, node, self._request.to.targets(address, size, node))

    def _meant(self, runs: PageRuns) -> PageRuns:
        runs, _ = meant(runs, self._request, self._page_size)
        return narrowed(self._backend, runs, self._request) if self._narrows else runs

    def _even(self, runs: PageRuns, wanted: int) -> Even | None:
        """The batch where all that was seen is one run, which has enough; None where it takes more to say."""
        request = self._request
        if len(runs) != 1 or not isinstance(request.to, Node) or self._narrows or request.huge is not None:
            return None
        target = request.to.node
        start, size, node = int(runs.address[0]), int(runs.page_size[0]), int(runs.node[0])
        shown = int(runs.count[0])
        wanted_there = node != target and node >= 0 and (request.sources is None or node in request.sources)
        if not wanted_there or start < self.place.cursor or shown * size < wanted or wanted % size:
            return None
        fitting = wanted // size
        count = shown if shown == fitting else self._whole(start, size, fitting, first=True)
        return Even(start, size, count, node, target)

    def _whole(self, start: int, size: int, fitting: int, *, first: bool) -> int:
        """How many pages of a run to take, of which ``fitting`` would do and more follow.

        Where base pages may be folios of other sizes, the kernel moves all of one when it is given a page of it: so a
        batch ends where such a folio may end, which it does at a multiple of its size.

        :param first: nothing else is in the batch, which is not to be empty
        """
        unit = self._largest_folio if size == self._page_size else 0
        while unit > size:
            end = (start + fitting * size) // unit * unit
            if end > start or (end == start and not first):
                return (end - start) // size
            unit //= 2
        return fitting

    def _look(self, window: Ranges) -> PageRuns:
        """The pages as they are; where only some nodes are to be emptied, marks that hide the node are cleared."""
        pid = self._request.pid
        runs = PageRuns.concatenate(self._hold.page_runs(window))
        if not self._tells_nodes_apart or not self._clears or not isinstance(self._backend, ClearsHints):
            return runs
        hidden = runs[runs.node == UNKNOWN_NODE]
        if not len(hidden):
            return runs
        self._clears = self._backend.clear_hints(pid, hidden.folios()[0])
        return PageRuns.concatenate(self._hold.page_runs(window)) if self._clears else runs

    def _ahead(self) -> Iterator[tuple[int, int]]:
        """What lies ahead of the cursor, without a copy of it all."""
        for number in range(self.place.next_range, len(self._ranges)):
            start, end = self._ranges[number]
            yield max(start, self.place.cursor), end

    def _window(self) -> list[tuple[int, int]]:
        """The next ``look_bytes`` of the ranges; no huge page is cut in two."""
        low = max(self._ranges[self.place.next_range][0], self.place.cursor)
        high = -(-(low + self._look_bytes) // self._huge) * self._huge
        if high <= self._ranges[self.place.next_range][1]:
            return [(low, high)]
        window: list[tuple[int, int]] = []
        left = self._look_bytes
        for start, end in self._ahead():
            stop = min(end, -(-(start + left) // self._huge) * self._huge)
            window.append((start, stop))
            left -= stop - start
            if left <= 0:
                break
        return window

    def _cut(self, runs: PageRuns, wanted: int, *, first: bool) -> tuple[PageRuns, int | None]:
        """The first ``wanted`` bytes of the runs in whole folios, and the address where it was cut, if it was."""
        size = runs.size_bytes
        if int(size.sum()) <= wanted:
            return runs, None
        total = np.cumsum(size)
        last = int(np.searchsorted(total, wanted, side="right"))
        before = int(total[last - 1]) if last else 0
        start, page_size = int(runs.address[last]), int(runs.page_size[last])
        fitting = self._whole(start, page_size, (wanted - before) // page_size, first=first and last == 0)
        if first and last == 0:
            fitting = max(1, fitting)
        if isinstance(self._request.to, Interleave):
            last, fitting = self._whole_units(runs, last, first=first)
            start = int(runs.address[last])
        kept = runs[slice(0, last + (1 if fitting else 0))]
        stop = max(self.place.cursor, start + fitting * page_size)
        if fitting:
            kept.count[-1] = fitting
        return kept, stop

    def _whole_units(self, runs: PageRuns, last: int, *, first: bool) -> tuple[int, int]:
        """Where pages take turns by units, a batch ends where one does: (number of the run, pages of it).

        :param runs: of a folio each
        :param last: the first one that is too much
        """
        unit = np.uint64(max(self._largest_folio, self._page_size))
        begins = np.flatnonzero(np.diff(runs.address[: last + 1] // unit)) + 1
        if len(begins):
            return int(begins[-1]), 0
        if not first:
            return 0, 0
        end = np.flatnonzero(np.diff(runs.address[last:] // unit))  # a unit is more than a batch: it is taken whole
        return (last + int(end[0]) + 1, 0) if len(end) else (len(runs) - 1, 1)

    def _advance(self, address: int) -> None:
        number = self.place.next_range
        while number < len(self._ranges) and self._ranges[number][1] <= address:
            number += 1
        exhausted = number == len(self._ranges)
        self.place = Place(address if exhausted else max(address, self._ranges[number][0]), exhausted, number)


def _each_once(runs: PageRuns, cursor: int) -> PageRuns:
    """The folios that reach beyond the cursor, none of them twice.

    A run may begin below the cursor (a huge page does not end where a range does), and two ranges within one huge
    page both show it.
    """
    if not len(runs) or (runs.address[0] >= cursor and (runs.address[1:] >= runs.end[:-1]).all()):
        return runs
    before = np.maximum.accumulate(np.concatenate(([np.uint64(cursor)], runs.end[:-1])))
    behind = np.where(before > runs.address, before - runs.address, np.uint64(0)).astype(np.int64)
    # What an earlier run has shown is left out, also where it ends within a folio; at the cursor such a folio is kept.
    shown = before > np.uint64(cursor)
    skip = np.minimum(runs.count, np.where(shown, -(-behind // runs.page_size), behind // runs.page_size))
    kept = PageRuns(
        runs.address + (skip * runs.page_size).view(np.uint64), runs.page_size, runs.count - skip, runs.node
    )
    return kept[kept.count > 0]
