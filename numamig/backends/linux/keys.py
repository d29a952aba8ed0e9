"""Keys of pages, and the runs that equal keys side by side become.

A key is a page's node, ``UNKNOWN_NODE``, or one of the marks below.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.looks import Chunk
from numamig.model.pages import PageRuns

__all__ = ["ABSENT", "HUGE", "JoinedRuns", "KeyRuns", "Keys", "join_runs"]

ABSENT: Final = -2
"""Key of a page that is not there."""
HUGE: Final = 1 << 14
"""Added to the key of every page that is part of a huge one."""


class KeyRuns(NamedTuple):
    """Keys of neighbouring slots that are known to be alike, once."""

    first: NDArray[np.int64]
    """First slot of each run, ascending from 0; shape (runs,)."""
    keys: NDArray[np.int16]
    """Shape (runs,); neighbours may be equal."""

    def write_to(self, keys: NDArray[np.int16]) -> None:
        """The key of every slot."""
        count = np.empty_like(self.first)
        np.subtract(self.first[1:], self.first[:-1], out=count[:-1])
        count[-1] = len(keys) - self.first[-1]
        keys[:] = self.keys.repeat(count)


Keys = NDArray[np.int16] | KeyRuns | int
"""Key of each slot of a chunk, shape (slots,); or of runs of them; or one key that all have."""


class JoinedRuns:
    """Collects the runs of neighbouring blocks; where all pages are alike that takes two numbers."""

    def __init__(self, huge_page_size: int) -> None:
        self._huge_page_size = huge_page_size
        self._parts: list[PageRuns] = []
        self._alike: tuple[int, int, int, int] | None = None
        """Start, end and key of pages that are all alike, and bytes of a slot."""

    def add(self, block: Chunk, keys: Keys) -> None:
        if isinstance(keys, int) and not block.unwanted:
            for start, end in block.pieces if keys != ABSENT else ():
                self.extend(start, end, keys, block.slot_bytes)
        else:
            self._flush()
            self._parts.append(join_runs(block, keys, self._huge_page_size))

    def extend(self, start: int, end: int, key: int, slot_bytes: int) -> None:
        """All pages from ``start`` to ``end`` have one key."""
        alike = self._alike
        if alike is not None and alike[1] == start and alike[2] == key and alike[3] == slot_bytes:
            start = alike[0]
        else:
            self._flush()
        self._alike = start, end, key, slot_bytes

    def _flush(self) -> None:
        if self._alike is not None:
            start, end, key, size = self._alike
            self._alike = None
            if key >= HUGE - 1:
                key, size = key - HUGE, self._huge_page_size
            self._parts.append(
                PageRuns(
                    np.array([start], np.uint64),
                    np.array([size], np.int64),
                    np.array([(end - start) // size], np.int64),
                    np.array([key], np.int16),
                )
            )

    def all(self) -> PageRuns:
        """What was collected."""
        self._flush()
        return self._parts[0] if len(self._parts) == 1 else PageRuns.concatenate(self._parts)


def join_runs(chunk: Chunk, keys: Keys, huge_page_size: int) -> PageRuns:
    """Runs of equal keys: what ``PageRuns.of_folios`` makes of the single pages, at a fraction of its cost."""
    if not isinstance(keys, np.ndarray) and (chunk.unwanted or len(chunk.pieces) > 1 or isinstance(keys, int)):
        runs = KeyRuns(np.zeros(1, np.int64), np.array([keys], np.int16)) if isinstance(keys, int) else keys
        keys = np.empty(chunk.slots, np.int16)
        runs.write_to(keys)
    if isinstance(keys, KeyRuns):
        change = keys.keys[1:] != keys.keys[:-1]
        first = _from_zero(keys.first[1:][change])
        node = keys.keys[_from_zero(change.nonzero()[0] + 1)]
    else:
        if chunk.unwanted:
            keys = np.where(chunk.unwanted_slots() & (keys < HUGE - 1), ABSENT, keys).astype(np.int16, copy=False)
        change = keys[1:] != keys[:-1]
        if len(chunk.pieces) > 1:
            change[chunk.first_slots()[1:] - 1] = True  # addresses jump between pieces
        first = _from_zero(change.nonzero()[0] + 1)
        node = keys[first]
    count = np.empty_like(first)
    np.subtract(first[1:], first[:-1], out=count[:-1])
    count[-1] = chunk.slots - first[-1]
    there = node != ABSENT
    if not there.all():
        first, count, node = first[there], count[there], node[there]
    size = np.full(len(node), chunk.slot_bytes)
    huge = node >= HUGE - 1  # HUGE + UNKNOWN_NODE is the least of them
    if huge.any():
        size[huge] = huge_page_size
        count[huge] //= huge_page_size // chunk.slot_bytes
        node[huge] -= HUGE
    return PageRuns(chunk.addresses(first), size, count, node)


def _from_zero(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same with a 0 before."""
    longer = np.empty(len(numbers) + 1, np.int64)
    longer[0] = 0
    longer[1:] = numbers
    return longer
