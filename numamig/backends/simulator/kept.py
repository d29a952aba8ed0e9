"""The memory of a machine in a file.

The arrays of a kept machine are views of the file, mapped and shared: what a call did is in the host's page cache the
moment it is done, and the end of the program at any point takes nothing back. Free memory and resident pages are not in
the file: they follow from the arrays, and are worked out when it is opened.
"""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.simulator.keptfile import (
    CELL,
    ENDED_AT,
    MEMORY_AT,
    MOST_PROCESSES,
    MOVED_AT,
    NODES_AT,
    VALUES_AT,
    Counters,
    Header,
)
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimProcess
from numamig.backends.simulator.timeline import Timeline
from numamig.errors import BackendError

__all__ = ["KeptMemory", "KeptTimeline"]

_CHUNK = 1 << 18
_CACHE = 0
"""Column of the table of nodes."""
_ZERO_FLAG = int(Flag.ZERO)
_Bytes = NDArray[np.uint8]


class KeptTimeline(Timeline):
    """Tells whenever time has passed, which is when a call is done."""

    passed: Callable[[], None] | None = None

    def advance_to(self, then_ns: int) -> None:
        if then_ns <= self.now_ns:
            return
        super().advance_to(then_ns)
        if self.passed is not None:
            self.passed()

    def run(self, until: float | simpy.Event | None = None) -> Any:
        result = super().run(until)
        if self.passed is not None:
            self.passed()
        return result


class _Worn(set[int]):
    """``Backing.worn``, a byte a folio in the file."""

    def __init__(self, marks: _Bytes, folio_pages: int) -> None:
        super().__init__((np.flatnonzero(marks) * folio_pages).tolist())
        self._marks, self._folio_pages = marks, folio_pages

    def update(self, *others: Iterable[int]) -> None:
        for heads in map(list, others):
            super().update(heads)
            self._marks[np.array(heads, np.int64) // self._folio_pages] = 1

    def difference_update(self, *others: Iterable[object]) -> None:
        before = set(self)
        super().difference_update(*others)
        self._marks[np.array(list(before - self), np.int64) // self._folio_pages] = 0


class KeptMemory:
    """The memory of one machine, in a file that is open."""

    def __init__(self, fd: int, close: Callable[[], None], header: Header | None = None) -> None:
        """
        :param close: lets go of the file
        :param header: of a machine that there is; None: it is about to be made
        """
        self._fd, self._close = fd, close
        self.header = header
        self.is_new = header is None
        self.end = MEMORY_AT
        """Bytes of the file, as far as its memory has been laid out."""
        if self.is_new:
            os.ftruncate(fd, self.end)
        self._head = head = mmap.mmap(fd, self.end)
        self._first = struct.Struct("2q")
        self._vmstat, self._outcomes, self._phases = (
            Counters(head, *part) for part in ((2, 126), (128, 64), (192, 64))
        )
        self._nodes: NDArray[np.int64] = np.frombuffer(head, np.int64, 1024, NODES_AT).reshape(256, 4)
        self._ended: _Bytes = np.frombuffer(head, np.uint8, MOST_PROCESSES, ENDED_AT)
        self._orders: dict[int, int] = {}
        self._flags_at: dict[int, int] = {}
        """Backing (its id) → where in the file its flags begin."""
        self.timeline = KeptTimeline(self._first.unpack_from(head, VALUES_AT)[0])

    # While the machine is built

    def backing(self, pages: int, folio_pages: int, page_bytes: int, *, heat: bool) -> Backing:
        """Memory that nobody has touched, or as it was left; asked for in the same order each time.

        :raises OSError: the disk is full.
        """
        folios = -(-pages // folio_pages) if folio_pages > 1 else 0
        starts, end = [], 0
        for size in (pages, pages, pages, folios, pages if heat else 0):
            starts.append(end)
            end += -(-size // CELL) * CELL
        end = -(-end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        if self.is_new:
            disk = os.fstatvfs(self._fd)
            if end > disk.f_bavail * disk.f_frsize:
                raise OSError(errno.ENOSPC, f"no room on the disk for {end:,} bytes more")
            os.ftruncate(self._fd, self.end + end)
        elif self.header is not None and self.end + end > self.header.file_bytes:
            raise BackendError("its memory is laid out differently")
        area = mmap.mmap(self._fd, end, offset=self.end)
        node, flags, sharers, marks, warmth = (
            np.frombuffer(area, np.uint8, size, start)
            for start, size in zip(starts, (pages, pages, pages, folios, pages if heat else 0), strict=True)
        )
        if self.is_new:
            node[:], sharers[:] = ABSENT, 1
        worn = _Worn(marks, folio_pages)
        backing = Backing(node, flags, sharers, warmth if heat else None, folio_pages, page_bytes, worn)
        self._flags_at[id(backing)] = self.end + starts[1]
        self.end += end
        return backing

    def has_ended(self, pid: int) -> bool:
        """Whether a process of the scenario is no more; asked in the order of the scenario."""
        return bool(self._ended[self._orders.setdefault(pid, len(self._orders))])

    def restore(self, machine: Machine, ended: Sequence[SimProcess]) -> None:
        """The machine as it was left, as far as it does not lie in the arrays of its memory.

        :param machine: with its processes, all memory free
        :param ended: those that are no more
        """
        every = {id(backing): backing for process in machine.processes.values() for backing in process.backings}
        for backing in {id(b): b for process in ended for b in process.backings}.values():
            mappers = len({process.pid for process, _ in machine.mappers(backing)})
            if mappers:
                backing.sharers[:] = mappers  # in case that the program ended while they were counted
        for backing in every.values():
            held = self._pages_by_node(backing)
            backing.resident_pages = int(held[:ABSENT].sum())
            machine.take(held)
        for node in machine.nodes.values():
            cache, node.pool_free, node.pool_total = self._nodes[node.id, :3].tolist()
            node.free_pages += node.cache_pages - cache - node.pool_free * machine.kernel.huge_pages
            # Pages may have come since the cache was written down, and some of it gave way to them.
            given_up = min(cache, max(0, node.reserve_pages - node.free_pages))
            node.cache_pages, node.free_pages = cache - given_up, node.free_pages + given_up
        _resume(machine.vmstat, self._vmstat.read())
        _resume(machine.outcomes, self._outcomes.read())
        _resume(machine.phases_ns, self._phases.read())
        machine.moving_calls = self._first.unpack_from(self._head, VALUES_AT)[1]

    # While the machine runs

    def keep(self, machine: Machine) -> None:
        """From now on, what the machine does is kept."""
        machine.moved_pages = np.frombuffer(self._head, np.int64, 256 * 256, MOVED_AT).reshape(256, 256)
        self._machine = machine
        for node in machine.nodes.values():
            self._nodes[node.id, :3] = node.cache_pages, node.pool_free, node.pool_total
        self._caching = [node for node in machine.nodes.values() if node.cache_pages]
        self._write()
        machine.keeper = self
        self.timeline.passed = self._write
        self._opener = os.getpid()
        atexit.register(self.close)

    def ended(self, pid: int) -> None:
        """A process is about to end."""
        if pid in self._orders:
            self._ended[self._orders[pid]] = 1

    def close(self) -> None:
        """Let go of the file; a second time is no error."""
        atexit.unregister(self.close)
        if self.timeline.passed is not None:
            self.timeline.passed = None
            if self._opener == os.getpid():  # and no child of it
                self._machine.settle_books()
                self._write()
        self._close()

    def _pages_by_node(self, backing: Backing) -> NDArray[np.int64]:
        """Shape (256,): pages of memory on each node, those that are on none under ``ABSENT``."""
        flagged = _has_data(self._fd, self._flags_at[id(backing)], len(backing.flags))
        held = np.zeros(256, np.int64)
        for first in range(0, len(backing.node), _CHUNK):
            node = backing.node[first : first + _CHUNK]
            if flagged and (zero := backing.flags[first : first + _CHUNK] & _ZERO_FLAG != 0).any():
                node = node[~zero]
            held += np.bincount(node, minlength=256)
        return held

    def _write(self) -> None:
        """Counters; what calls took is added up by the thousand, and lags behind."""
        machine = self._machine
        self._vmstat.write(machine.vmstat)
        self._outcomes.write(machine.outcomes)
        self._phases.write(machine.phases_ns)
        for node in self._caching:
            self._nodes[node.id, _CACHE] = node.cache_pages
        self._first.pack_into(self._head, VALUES_AT, self.timeline.now_ns, machine.moving_calls)


def _resume(counts: dict[str, int], kept: dict[str, int]) -> None:
    """Counters in the order in which they are kept, and those that are new behind them."""
    new = {name: count for name, count in counts.items() if name not in kept}
    counts.clear()
    counts.update(kept | new)


def _has_data(fd: int, start: int, size: int) -> bool:
    """Whether a part of a file is more than a hole; looking at a hole would fill it, on some file systems."""
    try:
        return os.lseek(fd, start, os.SEEK_DATA) < start + size
    except OSError:  # there is none behind it
        return False
