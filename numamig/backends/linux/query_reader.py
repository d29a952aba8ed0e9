"""The reader without rights to see page frames: pagemap says what is present, move_pages where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.keys import ABSENT, HUGE
from numamig.backends.linux.looks import Chunk
from numamig.backends.linux.pagemap import PRESENT, Pagemap
from numamig.backends.linux.pagereaders import Ask, Entries, Scratch, ask_nodes, whole_huge_pages

__all__ = ["QueryReader"]


class QueryReader:
    """Asks about every present page once, and about a huge page once in all where the kernel shows it (6.7)."""

    def __init__(self, ask: Ask, huge_page_size: int) -> None:
        self._ask = ask
        self._huge_page_size = huge_page_size

    def only_key(self, entries: Entries, address: int) -> int | None:
        return None  # entries do not tell where pages are

    def keys(self, pagemap: Pagemap, chunk: Chunk, entries: Entries, scratch: Scratch) -> NDArray[np.int16]:
        present = np.greater_equal(entries.array, PRESENT, out=scratch.mask[: chunk.slots])
        keys = scratch.keys[: chunk.slots]
        keys.fill(ABSENT)
        huge = self._huge_slots(pagemap, chunk, present)
        per_huge = self._huge_page_size // chunk.slot_bytes
        for slot in huge:
            present[slot + 1 : slot + per_huge] = False
        slots = np.flatnonzero(present)
        if len(slots):
            keys[slots] = ask_nodes(self._ask, pagemap.pid, chunk.addresses(slots), entries.array[slots])
        for slot in huge:
            if keys[slot] != ABSENT:  # else the huge zero page, or gone meanwhile
                keys[slot : slot + per_huge] = keys[slot] + HUGE
        return keys

    def _huge_slots(self, pagemap: Pagemap, chunk: Chunk, present: NDArray[np.bool_]) -> list[int]:
        """First slot of each huge page."""
        found: list[int] = []
        if not pagemap.scans:
            return found
        size = self._huge_page_size
        per_huge = size // chunk.slot_bytes
        for slot, count, address in whole_huge_pages(chunk, size):
            full = present[slot : slot + count * per_huge].reshape(count, per_huge).all(axis=1)
            found += [
                slot + nth * per_huge
                for nth in np.flatnonzero(full).tolist()
                if pagemap.is_huge(address + nth * size, size)
            ]
        return found
