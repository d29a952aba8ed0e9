"""Which pages: from regions to address ranges, and from there, just in time, to the next batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, ClearsHints, Hold
from numamig.migrate.request import Request
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges, clip_ranges
from numamig.model.process import Region

__all__ = ["Batch", "Chooser", "Even", "Place", "from_sources", "select_regions"]

_WIDEST_LOOK = 256 << 20  # bytes looked at in one go while searching through sparse memory


def select_regions(regions: Sequence[Region], request: Request) -> list[tuple[Region, int, int]]:
    """Each region that the request means, with the part of it that is meant: (region, start, end)."""
    selected: list[tuple[Region, int, int]] = []
    for region in regions:
        if not region.matches(request.kinds):
            continue
        whole: Ranges = [(region.start, region.end)]
        parts = whole if request.within is None else clip_ranges(request.within, region.start, region.end)
        selected.extend((region, start, end) for start, end in parts)
    return selected


def from_sources(node: NDArray[np.int16], request: Request) -> NDArray[np.bool_]:
    """Which of the nodes a request wants emptied.

    Pages on a node that is not known are meant only where every node is meant: nothing is moved on a guess.
    """
    wanted: NDArray[np.bool_] = node != request.target
    if request.sources is not None:
        wanted &= np.isin(node, request.sources) & (node != UNKNOWN_NODE)
    return wanted


class Even(NamedTuple):
    """Folios side by side, all of one size and on one node."""

    start: int
    page_size: int
    folios: int
    source: int
    target: int

    @property
    def end(self) -> int:
        return self.start + self.folios * self.page_size


class Batch:
    """Folios chosen for one step; arrays of shape (folios,), ascending, made when they are asked for."""

    __slots__ = ("_size_bytes", "_source", "address", "even", "target")

    def __init__(
        self,
        address: NDArray[np.uint64],
        size_bytes: NDArray[np.int64] | None,
        source: NDArray[np.int16] | None,
        target: NDArray[np.int32],
        even: Even | None = None,
    ) -> None:
        self.address, self.target = address, target
        self._size_bytes, self._source = size_bytes, source
        self.even = even
        """Where it is known that they are all alike: then sizes and sources may be left out."""

    @classmethod
    def of(cls, even: Even) -> Batch:
        """What is nearly always chosen, at a fraction of the cost."""
        address = np.arange(even.start, even.end, even.page_size, dtype=np.uint64)
        target = np.empty(even.folios, np.int32)
        target.fill(even.target)
        return cls(address, None, None, target, even)

    def __len__(self) -> int:
        return len(self.address)

    @property
    def size_bytes(self) -> NDArray[np.int64]:
        if self._size_bytes is None:
            assert self.even is not None
            self._size_bytes = np.full(len(self), self.even.page_size)
        return self._size_bytes

    @property
    def source(self) -> NDArray[np.int16]:
        if self._source is None:
            assert self.even is not None
            self._source = np.full(len(self), self.even.source, np.int16)
        return self._source

    @property
    def end(self) -> NDArray[np.uint64]:
        return self.address + self.size_bytes.view(np.uint64)

    @property
    def span(self) -> tuple[int, int]:
        """First byte, and the first one behind it all."""
        return (self.even.start, self.even.end) if self.even else (int(self.address[0]), int(self.end[-1]))


class Place(NamedTuple):
    """How far a chooser has come."""

    cursor: int
    """Everything below has been chosen, or was passed over."""
    exhausted: bool
    next_range: int = 0
    """The first range that is not behind the cursor."""


class Chooser:
    """Walks the ranges of a pass and hands out one batch after the other, from the pages as they are at that moment."""

    def __init__(
        self, backend: Backend, hold: Hold, request: Request, ranges: Ranges, huge_page_size: int, page_size: int
    ) -> None:
        self._backend = backend
        self._hold = hold
        self._request = request
        self._ranges = list(ranges)
        self._huge = huge_page_size or page_size  # a machine without huge pages has no larger unit
        self._page_size = page_size
        self._look_bytes = 0
        self._clears = True
        """Nothing has refused yet to clear marks of NUMA balancing."""
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
            runs = _each_once(runs[from_sources(runs.node, self._request)], self.place.cursor)
            runs, stop = self._cut(runs, wanted - found, first=not parts)
            if len(runs):
                parts.append(runs)
                found += int(runs.size_bytes.sum())
            self._advance(window[-1][1] if stop is None else stop)
            if stop is not None:
                break
            self._look_bytes = min(self._look_bytes * 2, max(_WIDEST_LOOK, wanted))
        address, size, node = PageRuns.concatenate(parts).folios()
        return Batch(address, size, node, np.full(len(address), self._request.target, np.int32))

    def _even(self, runs: PageRuns, wanted: int) -> Even | None:
        """The batch where all that was seen is one run, which has enough; None where it takes more to say."""
        if len(runs) != 1:
            return None
        request = self._request
        start, size, node = int(runs.address[0]), int(runs.page_size[0]), int(runs.node[0])
        count = min(int(runs.count[0]), wanted // size)
        meant = node != request.target and node >= 0 and (request.sources is None or node in request.sources)
        if not meant or start < self.place.cursor or count * size < wanted:
            return None
        return Even(start, size, count, node, request.target)

    def _look(self, window: Ranges) -> PageRuns:
        """The pages as they are; where only some nodes are to be emptied, marks that hide the node are cleared."""
        pid = self._request.pid
        runs = PageRuns.concatenate(self._hold.page_runs(window))
        if self._request.sources is None or not self._clears or not isinstance(self._backend, ClearsHints):
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
        page_size = int(runs.page_size[last])
        fitting = (wanted - before) // page_size
        if first and last == 0:
            fitting = max(1, fitting)
        kept = runs[slice(0, last + (1 if fitting else 0))]
        stop = max(self.place.cursor, int(runs.address[last]) + fitting * page_size)
        if fitting:
            kept.count[-1] = fitting
        return kept, stop

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
