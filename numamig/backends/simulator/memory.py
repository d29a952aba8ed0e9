"""The simulated machine's memory: nodes, and what lies on them as numpy arrays of a byte a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "HUGE_PAGES", "PAGE", "Backing", "Flag", "PageIndex", "SimNode", "all_are"]

PAGE = 4096
"""Bytes in a base page, where a kernel profile says nothing else."""
HUGE_PAGES = 512
"""Base pages in a transparent huge page of x86."""
ABSENT = 255
"""In node arrays: no page is present."""

PageIndex = slice | NDArray[np.int64]
"""Some pages of a backing."""


def all_are(values: NDArray[np.uint8], value: int) -> bool:
    """Whether an array of bytes holds nothing else: for short ones, several times as fast as comparing it."""
    return values.tobytes() == _repeated(value, len(values))


@lru_cache(256)
def _repeated(value: int, count: int) -> bytes:
    return bytes((value,)) * count


class Flag(IntFlag):
    """State of a base page; one byte each."""

    SWAPPED = 1
    """Not present, but was."""
    LARGE = 2
    """Part of a folio of several pages: ``Backing.folio_pages``, aligned to their number."""
    PINNED = 4
    """Somebody holds a reference: it is isolated, but does not migrate."""
    ISOLATED = 8
    """Not on the LRU: cannot be isolated."""
    HINTED = 16
    """Marked PROT_NONE by NUMA balancing."""
    ZERO = 32
    """The zero page: present for the hardware, nobody's memory."""
    WRITEBACK = 64
    """Being written to its device: whoever migrates it waits for that, and then it is over."""
    MLOCKED = 128
    """Stays in memory; migrates as any other."""


@dataclass(slots=True)
class SimNode:
    """A node and its free memory."""

    id: int
    cpus: tuple[int, ...]
    total_pages: int
    free_pages: int
    reserve_pages: int = 0
    """The watermark ``min``: below it nothing is allocated for migration."""
    label: str = ""
    tier: int | None = None
    cache_pages: int = 0
    """Page cache that nobody maps, and that is reclaimed before an allocation fails. Not among the free pages."""
    pool_free: int = 0
    """Huge pages that lie ready in the hugetlb pool. Not among the free pages."""
    pool_total: int = 0
    package: int | None = None
    """Socket of its CPUs."""


@dataclass(slots=True)
class Backing:
    """Memory that one or several processes map; arrays of shape (pages,)."""

    node: NDArray[np.uint8]
    """Node id, or ``ABSENT``."""
    flags: NDArray[np.uint8]
    """``Flag`` bits."""
    sharers: NDArray[np.uint8]
    """How many page tables map the page: which they are, the regions over this backing say."""
    heat: NDArray[np.uint8] | None = None
    """How often each page is accessed, in relation to the others; None: all alike."""
    folio_pages: int = HUGE_PAGES
    """Base pages in each folio that is ``LARGE``: 16 are 64 KiB on x86, 512 a transparent huge page."""
    page_bytes: int = PAGE
    worn: set[int] = field(default_factory=set)
    """First pages of large folios that the kernel takes for partly mapped, since they were moved entry by entry."""
    resident_pages: int = 0
    """Present pages, the zero page left out."""

    @classmethod
    def untouched(cls, pages: int, *, folio_pages: int = HUGE_PAGES, page_bytes: int = PAGE) -> Backing:
        return cls(
            np.full(pages, ABSENT, np.uint8),
            np.zeros(pages, np.uint8),
            np.ones(pages, np.uint8),
            folio_pages=folio_pages,
            page_bytes=page_bytes,
        )

    def heads(self, pages: NDArray[np.int64]) -> NDArray[np.int64]:
        """First page of the folio of each of some pages."""
        large = self.flags[pages] & np.uint8(Flag.LARGE) != 0
        return np.where(large, pages - pages % self.folio_pages, pages)

    def whole(self, heads: NDArray[np.int64]) -> NDArray[np.int64]:
        """All pages of the large folios that begin at ``heads``, those left out that nobody maps any more."""
        pages, large = self._blocks(heads)
        found: NDArray[np.int64] = pages[large & (self.node[pages] != ABSENT)]
        return found

    def count_mapped(self, heads: NDArray[np.int64]) -> NDArray[np.intp]:
        """How many pages of each of the large folios that begin at ``heads`` are mapped."""
        pages, large = self._blocks(heads)
        counts: NDArray[np.intp] = (large & (self.node[pages] != ABSENT)).sum(axis=1)
        return counts

    def blocks(self, values: NDArray[np.uint8], heads: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Values of the pages of large folios, those that are not ``LARGE`` zero; shape (folios, pages of a folio)."""
        pages, large = self._blocks(heads)
        return np.where(large, values[pages], np.uint8(0))

    def _blocks(self, heads: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        pages = heads[:, None] + np.arange(self.folio_pages)
        inside = pages < len(self.node)
        pages[~inside] = 0
        return pages, inside & (self.flags[pages] & np.uint8(Flag.LARGE) != 0)
