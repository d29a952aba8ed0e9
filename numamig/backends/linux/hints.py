"""Taking the marks of NUMA balancing off pages, so that an older kernel's move_pages sees them.

The scanner marks pages PROT_NONE to learn who uses them; until 6.x move_pages calls such a page absent. Reading a byte
of it is what clears the mark in any case, at the next use; process_vm_readv(2) does that without stopping anybody, with
the right to trace the process. Source: docs/kernel.md; mm/process_vm_access.c, mm/memory.c ``do_numa_page``.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux._errors import gone
from numamig.backends.linux.syscalls import allocate_locally, read_a_byte_of_each
from numamig.clock import Clock

__all__ = ["HintClearer", "userfaultfd_open"]

_KEEPS_NS = 5 * 10**9
_USERFAULTFD = "anon_inode:[userfaultfd]"


class HintClearer:
    """Clears marks where that can do no harm.

    A page in a range that a userfaultfd watches, should it go away between our look and our read, would be asked for
    from whoever serves that range, and wait for him. No file tells cheaply which ranges are watched; but without an
    open userfaultfd none is.
    """

    def __init__(self, proc_root: Path, clock: Clock) -> None:
        self._proc_root = proc_root
        self._clock = clock
        self._watched: tuple[int, bool] | None = None

    def clear(self, pid: int, addresses: NDArray[np.uint64]) -> bool:
        """As ``numamig.backends.base.ClearsHints``.

        :param addresses: shape (pages,), of pages that were just seen present
        """
        if not len(addresses):
            return True
        if self._somebody_watches():
            return False
        # In a thread of its own, with a policy of its own: by default the fault would move the page to our CPU's node.
        with ThreadPoolExecutor(1, "numamig-hints") as reader:
            number = reader.submit(_read_in_place, pid, addresses).result()
        if number == errno.ESRCH:
            raise gone(pid)
        return number == 0

    def _somebody_watches(self) -> bool:
        now = self._clock.now_ns()
        if self._watched is None or now - self._watched[0] > _KEEPS_NS:
            self._watched = (now, userfaultfd_open(self._proc_root))
        return self._watched[1]


def _read_in_place(pid: int, addresses: NDArray[np.uint64]) -> int:
    return read_a_byte_of_each(pid, addresses) if allocate_locally() else errno.EPERM


def userfaultfd_open(proc_root: Path) -> bool:
    """Whether any process that we may look into has a userfaultfd open."""
    with os.scandir(proc_root) as entries:
        processes = [entry.path for entry in entries if entry.name.isdecimal()]
    for process in processes:
        try:
            with os.scandir(f"{process}/fd") as entries:
                names = [entry.path for entry in entries]
        except OSError:
            continue  # ended, or not ours to look into
        for name in names:
            try:
                if os.readlink(name) == _USERFAULTFD:  # noqa: PTH115 - tens of thousands of them
                    return True
            except OSError:
                continue  # closed meanwhile
    return False
