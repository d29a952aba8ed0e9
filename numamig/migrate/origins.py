"""Where the pages of a batch came from, as the journal has it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.journal.packing import unpack_batch, unpack_left
from numamig.model.pages import UNKNOWN_NODE, Ranges

__all__ = ["Origins", "moved_by"]


class Origins:
    """Pages of one batch that were moved, or may have been, with the node that they came from; ascending."""

    def __init__(self, start: NDArray[np.uint64], end: NDArray[np.uint64], node: NDArray[np.int16]) -> None:
        self.start, self.end, self.node = start, end, node

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def none(cls) -> Origins:
        return cls(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int16))

    def pages_by_node(self, page_size: int) -> Counter[int]:
        """Base pages by where they came from."""
        size = (self.end - self.start).astype(np.int64) // page_size
        return Counter({node: int(size[self.node == node].sum()) for node in np.unique(self.node).tolist()})

    def within(self, ranges: Ranges) -> Origins:
        """The parts inside of ranges that ascend and do not overlap."""
        starts, ends, nodes = [], [], []
        for low, high in ranges:
            first = int(np.searchsorted(self.end, np.uint64(low), side="right"))
            last = int(np.searchsorted(self.start, np.uint64(high)))
            if first < last:
                starts.append(np.maximum(self.start[first:last], np.uint64(low)))
                ends.append(np.minimum(self.end[first:last], np.uint64(high)))
                nodes.append(self.node[first:last])
        if not starts:
            return self.none()
        return Origins(np.concatenate(starts), np.concatenate(ends), np.concatenate(nodes))

    def outside(self, ranges: Ranges) -> Origins:
        """The parts outside of ranges that ascend and do not overlap."""
        starts, ends = [0, *(end for _, end in ranges)], [*(start for start, _ in ranges), (1 << 64) - 1]
        return self.within([(low, high) for low, high in zip(starts, ends, strict=True) if low < high])

    def first_pages(self, pages: int, page_size: int) -> tuple[Origins, Origins]:
        """So many base pages, and the rest."""
        size = (self.end - self.start).astype(np.int64) // page_size
        total = np.cumsum(size)
        count = int(np.searchsorted(total, pages))
        if count >= len(self):
            return self, self.within([])
        cut = self.start[count] + np.uint64((pages - (int(total[count - 1]) if count else 0)) * page_size)
        return self.within([(0, int(cut))]), self.within([(int(cut), (1 << 64) - 1)])

    def of(self, address: NDArray[np.uint64]) -> NDArray[np.int16]:
        """Where pages came from; ``UNKNOWN_NODE`` for those that are not among them."""
        place = np.searchsorted(self.start, address, side="right") - 1
        inside = (place >= 0) & (address < self.end[place])
        return np.where(inside, self.node[place], UNKNOWN_NODE).astype(np.int16)

    def of_folios(self, address: NDArray[np.uint64], size: NDArray[np.int64]) -> NDArray[np.int16]:
        """Where folios came from: a folio that begins below belongs to where the first page of it that is here did."""
        place = np.searchsorted(self.end, address, side="right")
        inside = place < len(self)
        start = self.start[np.minimum(place, len(self) - 1)]
        inside &= start < address + size.view(np.uint64)
        return self.of(np.maximum(address, np.where(inside, start, np.uint64(0))))

    def unseen(
        self, address: NDArray[np.uint64], size: NDArray[np.int64], page_size: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int16]]:
        """Base pages that are in none of some folios, with where they came from."""
        step = np.uint64(page_size)
        pages = ((self.end - self.start) // step).astype(np.int64)
        which = np.repeat(np.arange(len(self)), pages)
        nth = np.arange(len(which)) - (np.cumsum(pages) - pages)[which]
        every = self.start[which] + nth.view(np.uint64) * step
        if len(address):
            place = np.searchsorted(address, every, side="right") - 1
            rest = (place < 0) | (every >= (address + size.view(np.uint64))[place])
            every, which = every[rest], which[rest]
        return every, self.node[which]

    def ranges(self) -> list[tuple[int, int]]:
        """Neighbours in one, wherever they came from."""
        first = np.concatenate(([0], np.flatnonzero(self.start[1:] != self.end[:-1]) + 1))
        last = np.concatenate((first[1:], [len(self)])) - 1
        return list(zip(self.start[first].tolist(), self.end[last].tolist(), strict=True))


def moved_by(intended: bytes, left: bytes | None) -> Origins:
    """What a batch moved; what it may have moved, where it has no result (``left`` is None)."""
    batch = unpack_batch(intended)
    start, end, node = batch.address, batch.address + batch.page_size.view(np.uint64), batch.source
    keep = (node != batch.target) & (node != UNKNOWN_NODE)
    start, end, node = start[keep], end[keep], node[keep]
    stayed = unpack_left(left) if left else None
    if stayed is not None and len(start):
        points = np.unique(np.concatenate((start, end, stayed.start, stayed.end)))
        piece, until = points[:-1], points[1:]
        mine = np.searchsorted(start, piece, side="right") - 1
        inside = (mine >= 0) & (piece < end[mine])
        theirs = np.searchsorted(stayed.start, piece, side="right") - 1
        inside &= ~((theirs >= 0) & (piece < stayed.end[theirs]))
        start, end, node = piece[inside], until[inside], node[mine[inside]]
    if not len(start):
        return Origins(start, end, node)
    first = np.concatenate(([0], np.flatnonzero((start[1:] != end[:-1]) | (node[1:] != node[:-1])) + 1))
    last = np.concatenate((first[1:], [len(start)])) - 1
    return Origins(start[first], end[last], node[first])
