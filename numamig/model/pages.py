"""Runs of present pages as arrays: what page readers yield and the engine chooses from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN_NODE", "PageRuns", "Ranges", "clip_ranges"]

UNKNOWN_NODE = -1
Ranges = Sequence[tuple[int, int]]
"""Address ranges [start, end), ascending, that do not overlap."""


@dataclass(frozen=True, slots=True)
class PageRuns:
    """Present pages in ascending address order; each run is ``count`` folios of ``page_size`` bytes, one after another.

    All arrays have shape (runs,). A 2 MiB huge page is one folio of 2 MiB, named by its first address.
    """

    address: NDArray[np.uint64]
    """First byte of the run."""
    page_size: NDArray[np.int64]
    """Bytes of each folio as far as the reader can tell; a multiple of the base page."""
    count: NDArray[np.int64]
    """Folios in the run."""
    node: NDArray[np.int16]
    """Where they are; ``UNKNOWN_NODE`` where the reader cannot tell."""

    def __len__(self) -> int:
        return len(self.address)

    @classmethod
    def empty(cls) -> PageRuns:
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int16))

    @classmethod
    def of_folios(cls, address: NDArray[np.uint64], page_size: NDArray[np.int64], node: NDArray[np.int16]) -> PageRuns:
        """Runs of single folios given in ascending order, joined where they touch and agree in size and node."""
        if not len(address):
            return cls.empty()
        breaks = np.flatnonzero(
            (np.diff(address) != page_size[:-1].view(np.uint64)) | (np.diff(page_size) != 0) | (np.diff(node) != 0)
        )
        first = np.concatenate(([0], breaks + 1))
        count = np.diff(np.concatenate((first, [len(address)])))
        return cls(address[first], page_size[first], count.astype(np.int64), node[first])

    @classmethod
    def concatenate(cls, parts: Iterable[PageRuns]) -> PageRuns:
        """All runs of all parts, one after the other."""
        several = list(parts)
        if len(several) == 1:
            return several[0]
        if not several:
            return cls.empty()
        return cls(
            np.concatenate([p.address for p in several]),
            np.concatenate([p.page_size for p in several]),
            np.concatenate([p.count for p in several]),
            np.concatenate([p.node for p in several]),
        )

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> PageRuns:
        return PageRuns(self.address[rows], self.page_size[rows], self.count[rows], self.node[rows])

    @property
    def size_bytes(self) -> NDArray[np.int64]:
        """Bytes of each run."""
        return self.page_size * self.count

    @property
    def end(self) -> NDArray[np.uint64]:
        """First byte after each run."""
        return self.address + self.size_bytes.view(np.uint64)

    def between(self, start: int, end: int) -> PageRuns:
        """The folios that begin in [start, end), also where a run goes on beyond it."""
        first = int(np.searchsorted(self.end, np.uint64(start), side="right"))
        last = int(np.searchsorted(self.address, np.uint64(end)))
        runs = PageRuns(
            self.address[first:last].copy(),
            self.page_size[first:last],
            self.count[first:last].copy(),
            self.node[first:last],
        )
        if len(runs):
            ahead = max(0, -(-(end - int(runs.address[-1])) // int(runs.page_size[-1])))
            runs.count[-1] = min(int(runs.count[-1]), ahead)
            behind = max(0, -(-(start - int(runs.address[0])) // int(runs.page_size[0])))
            runs.address[0] += np.uint64(behind * int(runs.page_size[0]))
            runs.count[0] -= behind
        return runs[runs.count > 0]

    def bytes_by_node(self) -> dict[int, int]:
        """Bytes on each node that holds any; ``UNKNOWN_NODE`` among them."""
        nodes, place = np.unique(self.node, return_inverse=True)
        sums = np.zeros(len(nodes), np.int64)
        np.add.at(sums, place, self.size_bytes)
        return {int(node): int(total) for node, total in zip(nodes, sums, strict=True)}

    def folios(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int16]]:
        """Address, size in bytes and node of every single folio; shape (folios,) each."""
        if len(self) == 1:
            count, each = int(self.count[0]), int(self.page_size[0])
            start = int(self.address[0])
            address = np.arange(start, start + count * each, each, dtype=np.uint64)
            return address, np.full(count, each), np.full(count, self.node[0])
        which = np.repeat(np.arange(len(self)), self.count)
        first = np.cumsum(self.count) - self.count
        nth = np.arange(len(which)) - first[which]
        size = self.page_size[which]
        address = self.address[which] + (nth * size).view(np.uint64)
        return address, size, self.node[which]


def clip_ranges(ranges: Ranges, start: int, end: int | None = None) -> list[tuple[int, int]]:
    """What of ``ranges`` lies in [start, end)."""
    clipped = ((max(a, start), b if end is None else min(b, end)) for a, b in ranges)
    return [(a, b) for a, b in clipped if a < b]
