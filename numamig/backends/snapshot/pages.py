"""The pages of one process as a page reader shows them, turned into simulated memory: a byte a page.

An address space may be reserved by the terabyte and hold next to nothing. So a region is taken down in extents: the
parts of it that have pages, cut at multiples of a gigabyte, with large gaps left out.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimRegion
from numamig.model.pages import UNKNOWN_NODE, PageRuns
from numamig.model.process import Region, RegionKind

__all__ = ["PageTaker"]

_WINDOW_BYTES = 1 << 30
_BLOCK_PAGES = 4096
"""A gap of so many pages, aligned to their number, is left out."""
_LONG_PAGES = 64
"""Runs of fewer pages are taken down together."""
_START = operator.attrgetter("start")


class PageTaker:
    """Takes down runs in ascending order; keeps nothing of them but the nodes and kinds of pages."""

    def __init__(self, regions: Sequence[Region], page_bytes: int, huge_bytes: int, hidden_node: int) -> None:
        """
        :param regions: of the process, ascending
        :param huge_bytes: of a transparent huge page; 0 where there are none
        :param hidden_node: where pages are taken to be whose node the reader could not tell
        """
        self._regions = [region for region in regions if region.kind is not RegionKind.SPECIAL]
        self._page, self._huge = page_bytes, huge_bytes
        self._hidden_node = hidden_node
        self._extents: list[SimRegion] = []
        self._window: _Window | None = None
        self.pages = 0
        """Base pages that are present."""
        self.hidden_pages = 0
        """Of these, base pages whose node the reader could not tell."""

    def add(self, runs: PageRuns) -> None:
        """Runs above all that were added before; one may go on from a region into the next."""
        if not len(runs):
            return
        at, ends = int(runs.address[0]), runs.end
        while True:
            region = self._region_at(at)
            if region is None:  # mapped since the regions were listed
                end = self._next_start(at)
            else:
                window = self._window_at(region, at)
                end = window.end
                self._take(window, runs.between(at, end))
            rest = int(np.searchsorted(ends, np.uint64(end), side="right"))
            if rest >= len(runs):
                return
            at = max(end, int(runs.address[rest]))

    def extents(self) -> list[SimRegion]:
        """What has been taken down; nothing is added after that."""
        self._close()
        return self._extents

    def _region_at(self, address: int) -> Region | None:
        number = bisect.bisect_right(self._regions, address, key=_START) - 1
        return self._regions[number] if number >= 0 and address < self._regions[number].end else None

    def _next_start(self, address: int) -> int:
        number = bisect.bisect_right(self._regions, address, key=_START)
        return self._regions[number].start if number < len(self._regions) else (1 << 64) - 1

    def _window_at(self, region: Region, address: int) -> _Window:
        window = self._window
        if window is None or window.region is not region or address >= window.end:
            self._close()
            folio = region.page_size if region.kind is RegionKind.HUGETLB else self._huge or self._page
            window = self._window = _Window(region, address, self._page, folio // self._page)
        return window

    def _take(self, window: _Window, runs: PageRuns) -> None:
        if not len(runs):
            return
        pages = runs.size_bytes // self._page
        hidden = runs.node == UNKNOWN_NODE
        self.pages += int(pages.sum())
        self.hidden_pages += int(pages[hidden].sum())
        node = np.where(hidden, self._hidden_node, runs.node).astype(np.uint8)
        flags = np.where(hidden, np.uint8(Flag.HINTED), np.uint8(0))
        large = (runs.page_size == window.folio_bytes) & (window.folio_pages > 1)
        large &= runs.address % np.uint64(window.folio_bytes) == 0
        flags |= np.where(large, np.uint8(Flag.LARGE), np.uint8(0))
        window.write(
            ((runs.address - np.uint64(window.base)) // np.uint64(self._page)).view(np.int64), pages, node, flags
        )

    def _close(self) -> None:
        if self._window is not None:
            self._extents += self._window.extents()
            self._window = None


class _Window:
    """The part of one region within a gigabyte, while it is being filled."""

    def __init__(self, region: Region, address: int, page_bytes: int, folio_pages: int) -> None:
        self.region = region
        self.folio_pages = folio_pages
        self.folio_bytes = folio_pages * page_bytes
        self._page = page_bytes
        self._block = max(_BLOCK_PAGES, folio_pages)
        size = max(_WINDOW_BYTES, self._block * page_bytes)
        self.base = address - address % size
        self.end = min(self.base + size, region.end)
        # Of a small region no more than its own, but whole folios from a multiple of their size on.
        self.base = max(self.base, region.start - region.start % (self._block * page_bytes))
        blocks = -(-(self.end - self.base) // (self._block * page_bytes))
        self._node = np.full(blocks * self._block, ABSENT, np.uint8)
        self._flags = np.zeros(len(self._node), np.uint8)
        self._flagged = False

    def write(
        self, first: NDArray[np.int64], pages: NDArray[np.int64], node: NDArray[np.uint8], flags: NDArray[np.uint8]
    ) -> None:
        """All arrays of shape (runs,): first page within the window, how many, where they are, ``Flag`` bits."""
        short = pages < _LONG_PAGES
        if short.any():
            count = pages[short]
            nth = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
            index = np.repeat(first[short], count) + nth
            self._node[index] = np.repeat(node[short], count)
            if flags[short].any():
                self._flags[index] = np.repeat(flags[short], count)
        for nth_run in np.flatnonzero(~short).tolist():
            here = slice(int(first[nth_run]), int(first[nth_run] + pages[nth_run]))
            self._node[here] = node[nth_run]
            if flags[nth_run]:
                self._flags[here] = flags[nth_run]
        self._flagged = self._flagged or bool(flags.any())

    def extents(self) -> list[SimRegion]:
        """The blocks that have pages, those side by side together."""
        filled = (self._node.reshape(-1, self._block) != ABSENT).any(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False])).astype(np.int8)))
        return [self._extent(int(a), int(b)) for a, b in edges.reshape(-1, 2)]

    def _extent(self, first: int, end: int) -> SimRegion:
        part, block_bytes = slice(first * self._block, end * self._block), self._block * self._page
        low = max(self.region.start, self.base + first * block_bytes)
        high = min(self.end, self.base + end * block_bytes)
        node = self._node[part].copy()
        # Nobody writes to how often a page is mapped, so that one value will do for all of them.
        sharers = np.broadcast_to(np.uint8(1), len(node))
        # What was never written to in an array of zeros takes no memory.
        flags = self._flags[part].copy() if self._flagged else np.zeros(len(node), np.uint8)
        backing = Backing(node, flags, sharers, folio_pages=self.folio_pages, page_bytes=self._page)
        backing.resident_pages = int(np.count_nonzero(node != ABSENT))
        return SimRegion(
            low,
            backing,
            self.region.kind,
            self.region.permissions,
            self.region.path,
            self.region.page_size,
            first=(low - self.base - first * block_bytes) // self._page,
            length=(high - low) // self._page,
        )
