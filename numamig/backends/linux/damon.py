"""Which pages are in use, by DAMON: the kernel notes for a while which of them were touched.

In each sample it takes one page at random of each region that it is given, clears the accessed bit in its page table
entry, and sees 20 ms later whether the processor has set it again. What the kernel itself knows of the page's age is
kept, the process is not stopped, and no page is made present. A page whose translation stays in the TLB all the time
looks as if nobody touched it: processors set the bit when they walk the page table.

Source: Documentation/admin-guide/mm/damon/usage.rst; mm/damon/sysfs.c, mm/damon/vaddr.c (``fvaddr``).
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux._errors import gone, reading_process
from numamig.backends.linux.capabilities import DAMON
from numamig.clock import Clock
from numamig.errors import RefusedError

__all__ = ["MOST_REGIONS", "OPERATIONS", "SAMPLES", "Damon"]

MOST_REGIONS = 512
"""Watched in one go: for each, the page table is walked twice in a sample, with mmap_lock held for reading."""
SAMPLES = 15
"""That a region is looked at in one go."""
_SAMPLE_US = 20_000
_UPDATE_US = 1_000_003
"""Without meaning where addresses are fixed: this value tells what a numamig that was killed has left from others'."""
_PATIENCE_NS, _PAUSE_NS = 5 * 10**9, 10 * 10**6
"""How long is waited for somebody else, and for samples that take longer than they should; and how often is looked."""
OPERATIONS = "fvaddr"
_NO_LIMIT = {"sz": 2**64 - 1, "nr_accesses": 2**32 - 1, "age": 2**32 - 1}


class Damon:
    """DAMON by its files: one set-up for the whole machine, so that nobody else's is disturbed.

    :param sys_root: where /sys is
    """

    def __init__(self, proc_root: Path, sys_root: Path, clock: Clock) -> None:
        self._proc_root = proc_root
        self._kdamonds = sys_root / DAMON / "kdamonds"
        self._count = self._kdamonds / "nr_kdamonds"
        self._clock = clock

    def demand_free(self) -> None:
        """Nothing is written for that.

        :raises RefusedError: somebody else uses it.
        :raises OSError: it is not there, or not ours to use.
        """
        os.close(os.open(self._count, os.O_RDWR | os.O_CLOEXEC))
        kdamonds = int(self._count.read_text())
        if kdamonds and not self._is_ours(kdamonds):
            raise RefusedError(
                f"DAMON is in use by somebody else (nr_kdamonds is {kdamonds})",
                hint=f"heat can be told when that is done; if nobody needs it: echo 0 > {self._count}",
            )

    def operations(self) -> list[str]:
        """What it can watch here; found by setting it up, and taking that back.

        :raises RefusedError: somebody else uses it.
        :raises OSError: it is not there, or not ours to use.
        """
        with self._set_up() as context:
            return (context / "avail_operations").read_text().split()

    def heat(self, pid: int, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> NDArray[np.float32]:
        """As ``TellsHeat``: where there are more ranges than can be watched, neighbours share what was seen of one.

        :raises TargetGone: the process ended.
        :raises RefusedError: it is not there, not ours to use, or somebody else uses it.
        """
        if not len(start):
            return np.empty(0, np.float32)
        low, high, region = _regions(start, end)
        try:
            with self._set_up() as context:
                self._demand_memory(pid)
                told = _mean(low, high, *self._watch(context, pid, *_parts(low, high)))[region]
            self._demand_memory(pid)  # what ends meanwhile is as cold as can be
            return told
        except OSError as error:
            if not (self._proc_root / str(pid)).exists():
                raise gone(pid) from error
            raise RefusedError(
                f"DAMON does not watch process {pid} ({errno.errorcode.get(error.errno or 0, error.errno)})",
                hint="numamig doctor says what it takes",
                pid=pid,
                errno=error.errno,
            ) from error

    def _demand_memory(self, pid: int) -> None:
        """DAMON takes a process without memory for one that touches none."""
        with reading_process(pid):
            pages = int((self._proc_root / str(pid) / "statm").read_text().split()[0])
        if not pages:
            raise RefusedError(f"process {pid} has no memory of its own", hint="choose another process", pid=pid)

    def _watch(
        self, context: Path, pid: int, low: NDArray[np.uint64], high: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float32]]:
        """Watch regions until all samples are taken: (start, end, share of samples) of what DAMON tells apart."""
        if OPERATIONS not in (context / "avail_operations").read_text().split():
            hint = "a kernel with CONFIG_DAMON_VADDR=y, Linux 6.2 or later"
            raise RefusedError("DAMON of this kernel does not watch single processes", hint=hint, pid=pid)
        write = self._write
        write(context / "operations", OPERATIONS)
        intervals, count = context / "monitoring_attrs/intervals", context / "monitoring_attrs/nr_regions"
        write(intervals / "sample_us", _SAMPLE_US)
        write(intervals / "aggr_us", _SAMPLE_US * SAMPLES)
        # As many as they are: then none is split, and none joined with a neighbour.
        for name in ("max", "min"):
            write(count / name, max(3, len(low)))
        write(context / "targets/nr_targets", 1)
        write(context / "targets/0/pid_target", pid)
        regions = str(context / "targets/0/regions")
        write(f"{regions}/nr_regions", len(low))
        for number, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            write(f"{regions}/{number}/start", first)
            write(f"{regions}/{number}/end", last)
        # A scheme that does nothing but count: what it was tried on is what can be read.
        write(context / "schemes/nr_schemes", 1)
        scheme = context / "schemes/0"
        write(scheme / "action", "stat")
        for name, most in _NO_LIMIT.items():
            write(scheme / f"access_pattern/{name}/max", most)
        state, until = context.parent.parent / "state", self._clock.now_ns() + _PATIENCE_NS
        write(state, "on")
        while True:
            # Waits for the end of the samples, but not for ever: on a slow machine there may be none yet.
            write(state, "update_schemes_tried_regions")
            found = _read_regions(scheme / "tried_regions")
            if len(found[0]):
                return found
            if self._clock.now_ns() >= until:
                raise RefusedError(f"DAMON has seen nothing of process {pid} in time", hint="try again", pid=pid)

    @contextmanager
    def _set_up(self) -> Iterator[Path]:
        """The folder of a context of our own, and of nobody else's, for a while."""
        descriptor = os.open(self._count, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._lock(descriptor)
            self.demand_free()  # what is ours, with the lock in hand, is of a numamig that was killed
            self._clear()
            try:
                self._write(self._count, 1)
                self._write(self._kdamonds / "0/contexts/nr_contexts", 1)
                context = self._kdamonds / "0/contexts/0"
                self._write(context / "monitoring_attrs/intervals/update_us", _UPDATE_US)
                yield context
            finally:
                self._clear()
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        """Wait for other numamigs, and for other threads of this one: nobody else heeds this lock."""
        until = self._clock.now_ns() + _PATIENCE_NS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.now_ns() >= until:
                    raise RefusedError(
                        "DAMON is in use by another numamig", hint="heat can be told when it is done"
                    ) from None
                self._clock.sleep_ns(_PAUSE_NS)

    def _is_ours(self, kdamonds: int) -> bool:
        """Whether what is set up is some numamig's."""
        attributes = self._kdamonds / "0/contexts/0/monitoring_attrs/intervals"
        try:
            return kdamonds == 1 and int((attributes / "update_us").read_text()) == _UPDATE_US
        except OSError:
            return False

    def _clear(self) -> None:
        with suppress(OSError):  # it does not run, or has ended with its process
            self._write(self._kdamonds / "0/state", "off")
        self._write(self._count, 0)

    def _write(self, path: Path | str, value: object) -> None:
        """Again and again while anybody else reads or writes there: the kernel does not let one wait (EBUSY)."""
        until = self._clock.now_ns() + _PATIENCE_NS
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            while True:
                try:
                    os.write(descriptor, str(value).encode())
                    return
                except OSError as error:
                    if error.errno != errno.EBUSY or self._clock.now_ns() >= until:
                        raise
                    self._clock.sleep_ns(_PAUSE_NS)
        finally:
            os.close(descriptor)


def _regions(
    start: NDArray[np.uint64], end: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.intp]]:
    """What to watch for some ranges, as (start, end), and which of it stands for each range.

    Of neighbours that share a region, the longest stretch without a gap.
    """
    count = min(len(start), MOST_REGIONS)
    region = np.arange(len(start)) * count // len(start)
    breaks = (region[1:] != region[:-1]) | (start[1:] != end[:-1])
    first = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    low, high = start[first], end[np.concatenate((first[1:], [len(start)])) - 1]
    longest = np.empty(count, np.intp)
    by_size = np.argsort(high - low, kind="stable")
    longest[region[first][by_size]] = by_size  # the last that is written for a region is its longest
    return low[longest], high[longest], region


def _parts(low: NDArray[np.uint64], high: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The same in smaller parts of whole pages, where they are few and large: a sample is of one page of each."""
    parts = max(1, MOST_REGIONS // len(low))
    page = np.uint64(mmap.PAGESIZE)
    pages = (high - low) // page
    nth = np.arange(parts + 1, dtype=np.uint64)
    edges = low[:, None] + pages[:, None] * nth // np.uint64(parts) * page
    edges[:, -1] = high
    start, end = edges[:, :-1].reshape(-1), edges[:, 1:].reshape(-1)
    kept = start < end
    return start[kept], end[kept]


def _read_regions(folder: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float32]]:
    rows = sorted(
        tuple(_read_number(f"{entry.path}/{name}") for name in ("start", "end", "nr_accesses"))
        for entry in os.scandir(folder)
        if entry.name.isdecimal()
    )
    table = np.array(rows, np.uint64).reshape(-1, 3)
    return table[:, 0], table[:, 1], np.minimum(table[:, 2] / SAMPLES, 1).astype(np.float32)


def _read_number(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(descriptor, 32))
    finally:
        os.close(descriptor)


def _mean(
    low: NDArray[np.uint64],
    high: NDArray[np.uint64],
    start: NDArray[np.uint64],
    end: NDArray[np.uint64],
    share: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The mean of what was seen within each [low, high), by bytes; NaN where nothing was."""
    edges = np.concatenate(([0], np.cumsum((end - start).astype(np.float64))))
    heats = np.concatenate(([0], np.cumsum((end - start).astype(np.float64) * share)))

    def until(address: NDArray[np.uint64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of everything below each address."""
        row = np.searchsorted(start, address, side="right")
        last = np.maximum(row - 1, 0)
        size = (end - start).astype(np.float64)[last] if len(start) else np.zeros(len(address))
        if not len(start):
            return size
        part = np.clip((address.astype(np.float64) - start[last].astype(np.float64)) / size, 0, 1)
        below: NDArray[np.float64] = np.where(row > 0, totals[last] + part * (totals[last + 1] - totals[last]), 0.0)
        return below

    covered = until(high, edges) - until(low, edges)
    total = until(high, heats) - until(low, heats)
    mean: NDArray[np.float64] = np.divide(total, covered, out=np.full(len(low), np.nan), where=covered > 0)
    return mean.astype(np.float32)
