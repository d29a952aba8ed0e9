"""/proc/PID/pagemap, held open: one 64-bit entry for each page, and the scan that skips holes.

Source: Documentation/admin-guide/mm/pagemap.rst; fs/proc/task_mmu.c. A read takes the mmap lock for one page table
at a time (512 pages of 4 KiB); a scan takes it for as long as it walks, so scans here are kept short. The file holds
on to the memory that the process had when it was opened: after an exit or an exec every read answers nothing, and is
never of another process that got the same pid.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux._errors import as_error, gone, reading_process
from numamig.backends.linux.looks import Chunk
from numamig.errors import RefusedError

__all__ = ["EXCLUSIVE", "PFN_MASK", "PRESENT", "SOFT_DIRTY", "Pagemap", "scan_works"]

PFN_MASK: Final = np.uint64((1 << 55) - 1)
PRESENT: Final = np.uint64(1 << 63)
SOFT_DIRTY: Final = np.uint64(1 << 55)
"""The top bit, so that all entries from here on are of present pages."""
EXCLUSIVE: Final = np.uint64(1 << 56)
"""Mapped by one process only; never set for zero pages."""

# struct pm_scan_arg, twelve u64: size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
# category_mask, category_anyof_mask, return_mask. struct page_region: start, end, categories.
_SCAN_ARGUMENT = struct.Struct("=12Q")
_PAGEMAP_SCAN = 3 << 30 | _SCAN_ARGUMENT.size << 16 | ord("f") << 8 | 16
_IS_PRESENT, _IS_HUGE = 1 << 3, 1 << 6
# An empty page table costs the walk about as much as a full one: this much is a few hundred microseconds at worst.
_SCAN_BYTES = 1 << 30


class Pagemap:
    """The pagemap of one process. Use as a context manager; may be read from several threads.

    :raises TargetGone: from every method, once the process ended or replaced its memory
    :raises RefusedError: the caller may not look
    """

    def __init__(self, proc_root: Path, pid: int, page_size: int) -> None:
        self.pid = pid
        self._page_size = page_size
        folder = proc_root / str(pid)
        with reading_process(pid):
            try:
                self._descriptor = os.open(folder / "pagemap", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if (folder / "stat").exists():
                    raise RefusedError(
                        "this kernel has no /proc/PID/pagemap", hint="it was built without CONFIG_PROC_PAGE_MONITOR"
                    ) from None
                raise
        self.scans: Final = scan_works(self._descriptor)
        """The kernel has PAGEMAP_SCAN."""

    def __enter__(self) -> Pagemap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def alive(self) -> bool:
        """Whether the memory that was opened is still that of a process."""
        with reading_process(self.pid):
            return bool(os.pread(self._descriptor, 8, 0))

    def read(self, chunk: Chunk, entries: NDArray[np.uint64]) -> None:
        """Fill ``entries``, shape (chunk.slots,), with the entry of the first page of each slot."""
        view = entries.data.cast("B")
        if chunk.slot_bytes != self._page_size:
            # Of a hugetlb page the first entry tells all; reading the others would cost as much as small pages do.
            for slot, address in enumerate(chunk.addresses(np.arange(chunk.slots)).tolist()):
                self.fill(view[slot * 8 : slot * 8 + 8], address)
            return
        at = 0
        for start, end in chunk.pieces:
            size = (end - start) // self._page_size * 8
            self.fill(view[at : at + size], start)
            at += size

    def check_alive(self, address: int) -> None:
        """Raise ``TargetGone`` where the memory that was opened is no more; ``address`` is in a mapping."""
        self.fill(memoryview(bytearray(8)), address)

    def fill(self, view: memoryview, address: int) -> None:
        """Fill a view of bytes with the entries of the pages from an address on."""
        offset = address // self._page_size * 8
        try:
            done = os.preadv(self._descriptor, [view], offset)
            while done < len(view):
                # A signal may cut a read short. Nothing at all means that the address space is gone.
                more = os.preadv(self._descriptor, [view[done:]], offset + done)
                if not more:
                    raise gone(self.pid, "ended, or replaced its memory, while being looked at")
                done += more
        except OSError as error:
            raise as_error(self.pid, error) from error

    def next_present(self, start: int, end: int) -> int:
        """First address from ``start`` on where a page is present, or ``end``.

        On a kernel that cannot scan (before 6.7) that is ``start`` itself.
        """
        while self.scans and start < end:
            found = self._scan(start, min(end, start + _SCAN_BYTES), _IS_PRESENT)
            if found is not None:
                return found
            start += _SCAN_BYTES
        return min(start, end)

    def is_huge(self, address: int, size: int) -> bool:
        """Whether ``size`` bytes from ``address`` on are mapped by one entry of the page directory."""
        return self.scans and self._scan(address, address + size, _IS_HUGE) == address

    def _scan(self, start: int, end: int, category: int) -> int | None:
        """Address of the first page of that category in a range; None if there is none."""
        region = np.zeros(3, np.uint64)
        vector = region.__array_interface__["data"][0]
        argument = bytearray(_SCAN_ARGUMENT.pack(96, 0, start, end, 0, vector, 1, 1, 0, category, 0, category))
        try:
            found = fcntl.ioctl(self._descriptor, _PAGEMAP_SCAN, argument)
        except OSError as error:
            raise as_error(self.pid, error) from error
        return int(region[0]) if found else None


def scan_works(descriptor: int) -> bool:
    """Whether the kernel has PAGEMAP_SCAN (6.7): an empty range is a question without an answer, and no error."""
    try:
        fcntl.ioctl(descriptor, _PAGEMAP_SCAN, bytearray(_SCAN_ARGUMENT.pack(96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
    except OSError:
        return False
    return True
