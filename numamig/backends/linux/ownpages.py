"""What can only be learned from memory of our own: whether PFNs are visible, and which page frames are the zero pages.

Source: Documentation/admin-guide/mm/pagemap.rst; mm/huge_memory.c (the huge zero page stays where it is as long as a
process that ever used it lives, so what is learned here holds until we end).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.pagemap import PFN_MASK

__all__ = ["OwnPages", "ZeroFrames", "learn_zero_frames", "private_pages", "read_own_entries", "sees_frames"]

_ZERO_COLOURS = 256  # s390 has up to 128 zero pages, chosen by address; everybody else has one


@dataclass(frozen=True, slots=True)
class OwnPages:
    """Private anonymous memory of this process."""

    address: int
    bytes_: NDArray[np.uint8]
    """Shape (bytes,). Reading a page for the first time maps a zero page, writing gives it one of its own."""


@dataclass(frozen=True, slots=True)
class ZeroFrames:
    """Page frames that stand for "never written": in everybody's pagemap, and nobody's memory."""

    spans: tuple[tuple[int, int], ...] = ()
    """(first PFN, how many)."""

    def within(self, frames: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these frames are zero pages; shape as given."""
        found = np.zeros(frames.shape, np.bool_)
        for first, count in self.spans:
            found |= (frames - np.uint64(first)) < np.uint64(count)
        return found


@contextmanager
def private_pages(size: int, align: int = mmap.PAGESIZE, advice: int | None = None) -> Iterator[OwnPages]:
    """``size`` bytes of never touched memory that start at a multiple of ``align``."""
    area = mmap.mmap(-1, size + align, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(area, np.uint8)
    try:
        if advice is not None:
            with suppress(OSError):  # EINVAL: a kernel without huge pages, which then has no huge zero page either
                area.madvise(advice)
        address = int(whole.__array_interface__["data"][0])
        offset = -address % align
        yield OwnPages(address + offset, whole[offset : offset + size])
    finally:
        # Where somebody still holds the array, the mapping goes when he lets go of it.
        del whole
        with suppress(BufferError):
            area.close()


def read_own_entries(proc_root: Path, address: int, pages: int) -> NDArray[np.uint64]:
    """Pagemap entries of our own memory; shape (pages,), fewer where it cannot be read."""
    with suppress(OSError), open(proc_root / "self/pagemap", "rb", buffering=0) as pagemap:
        pagemap.seek(address // mmap.PAGESIZE * 8)
        return np.frombuffer(pagemap.read(pages * 8) or b"", np.uint64)
    return np.empty(0, np.uint64)


def sees_frames(proc_root: Path) -> bool:
    """Whether pagemap shows us PFNs: tried, not concluded from who we are."""
    with private_pages(mmap.PAGESIZE) as own:
        own.bytes_[0] = 1
        entries = read_own_entries(proc_root, own.address, 1)
    return bool(len(entries) and entries[0] & PFN_MASK)


def learn_zero_frames(proc_root: Path, huge_page_size: int) -> ZeroFrames:
    """PFNs of the zero page and of the huge zero page, from memory that is only read."""
    spans: list[tuple[int, int]] = []
    pages = _ZERO_COLOURS
    with private_pages(pages * mmap.PAGESIZE, advice=mmap.MADV_NOHUGEPAGE) as own:
        own.bytes_[:: mmap.PAGESIZE].max()
        frames = read_own_entries(proc_root, own.address, pages) & PFN_MASK
        if len(frames) and frames.all() and int(np.ptp(frames)) < pages:
            spans.append((int(frames.min()), int(np.ptp(frames)) + 1))
    per_huge = huge_page_size // mmap.PAGESIZE
    with private_pages(huge_page_size, huge_page_size, advice=mmap.MADV_HUGEPAGE) as own:
        own.bytes_[0].max()
        frames = read_own_entries(proc_root, own.address, per_huge) & PFN_MASK
        # Where the kernel gives no huge page, one small zero page was mapped, and its neighbours are empty.
        if len(frames) == per_huge and bool((frames == frames[0] + np.arange(per_huge, dtype=np.uint64)).all()):
            spans.append((int(frames[0]), per_huge))
    return ZeroFrames(tuple(spans))
