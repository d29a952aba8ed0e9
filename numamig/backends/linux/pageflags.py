"""Flags of single pages: what pagemap tells everybody, and /proc/kpageflags those who may see page frames.

Source: Documentation/admin-guide/mm/pagemap.rst; include/uapi/linux/kernel-page-flags.h. No kernel tells who holds a
reference to a page, so ``PINNED`` is never known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux import frame_reader
from numamig.backends.linux.pagemap import EXCLUSIVE, PFN_MASK, PRESENT, Pagemap
from numamig.model.pageflags import PageFlag, PageFlags

__all__ = ["read_page_flags"]

_COMPOUND_HEAD, _COMPOUND_TAIL, _ZERO_PAGE = 1 << 15, 1 << 16, 1 << 24
_KERNEL: Final = {
    1 << 0: PageFlag.BUSY,  # KPF_LOCKED
    1 << 8: PageFlag.WRITEBACK,
    1 << 17: PageFlag.HUGE,  # KPF_HUGE: hugetlb
    1 << 19: PageFlag.POISONED,
    1 << 22: PageFlag.HUGE,  # KPF_THP
    1 << 33: PageFlag.MLOCKED,
}
"""KPF_* bit → what it says."""
_BY_FRAME: Final = np.uint16(PageFlag.BUSY | PageFlag.WRITEBACK | PageFlag.HUGE | PageFlag.POISONED | PageFlag.MLOCKED)
_SHARED: Final = np.uint16(PageFlag.SHARED)


def read_page_flags(
    proc_root: Path,
    pid: int,
    addresses: NDArray[np.uint64],
    page_size: int,
    frame_flags: frame_reader.PageFlags,
    pages_per_huge: int,
) -> PageFlags:
    """Some two microseconds for each page that is not beside the one before, and as much again for its frame.

    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look
    """
    entries = _read_entries(proc_root, pid, addresses, page_size)
    present = entries >= PRESENT
    flags = np.where(present & (entries & EXCLUSIVE == 0), _SHARED, np.uint16(0))
    known = np.where(present, _SHARED, np.uint16(0))
    frames = entries & PFN_MASK
    # Without CAP_SYS_ADMIN pagemap shows frame 0 for all.
    seen = np.flatnonzero(present & (frames > 0)) if frame_flags.readable else np.empty(0, np.intp)
    if len(seen):
        bits = _of_frames(frame_flags, frames[seen], pages_per_huge)
        for bit, flag in _KERNEL.items():
            flags[seen] |= np.where(bits & bit != 0, np.uint16(flag), np.uint16(0))
        known[seen] |= _BY_FRAME
        nobodys = seen[bits & _ZERO_PAGE != 0]
        flags[nobodys] = known[nobodys] = 0
    return PageFlags(flags, known)


def _read_entries(proc_root: Path, pid: int, addresses: NDArray[np.uint64], page_size: int) -> NDArray[np.uint64]:
    """One read for pages side by side."""
    entries = np.zeros(len(addresses), np.uint64)
    if not len(addresses):
        return entries
    view = entries.data.cast("B")
    numbers = addresses // np.uint64(page_size)
    first = np.concatenate(([0], np.flatnonzero(np.diff(numbers) != 1) + 1))
    last = np.append(first[1:], len(addresses))
    with Pagemap(proc_root, pid, page_size) as pagemap:
        for begin, end in zip(first.tolist(), last.tolist(), strict=True):
            pagemap.fill(view[begin * 8 : end * 8], int(addresses[begin]))
    return entries


def _of_frames(
    frame_flags: frame_reader.PageFlags, frames: NDArray[np.uint64], pages_per_huge: int
) -> NDArray[np.int64]:
    """Older kernels tell of all pages of a huge page but the first next to nothing; so those are told by the first."""
    bits = frame_flags.of(frames)
    tails = np.flatnonzero(bits & _COMPOUND_TAIL != 0)
    if len(tails):
        bits = bits.copy()  # what was read is not to be written to
        heads, which = np.unique(frames[tails] - frames[tails] % np.uint64(pages_per_huge), return_inverse=True)
        of_head = frame_flags.of(heads)[which]
        bits[tails] |= np.where(of_head & _COMPOUND_HEAD != 0, of_head, 0)
    return bits
