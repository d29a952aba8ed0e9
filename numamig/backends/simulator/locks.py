"""Locks of page tables, as the kernels of 2004 had them: one for each address space, and measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING

import simpy

from numamig.model.workings import LockFigures

if TYPE_CHECKING:
    from numamig.backends.simulator.process import SimProcess
    from numamig.backends.simulator.timeline import Timeline

__all__ = ["MeasuredLock", "PageTableLocks"]


class MeasuredLock:
    """A lock that is handed on in the order of asking, and that knows how long it was held and waited for.

    What ``simpy.Resource`` does for one user at a time; but taking it when it is free, and giving it back, is no event.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._queue: deque[tuple[simpy.Event, int]] = deque()
        """Who waits, and since when."""
        self.held = False
        self._taken_ns = 0
        self._holds = self._held_ns = self._longest_hold_ns = 0
        self._waits = self._waited_ns = self._longest_wait_ns = 0

    def take(self) -> Generator[simpy.Event, object, None]:
        """Wait for it: ``yield from lock.take()``."""
        if not self.held:
            self.held = True
        else:
            began_ns, turn = self._timeline.now_ns, self._timeline.event()
            self._queue.append((turn, began_ns))
            self._waits += 1
            yield turn
            waited_ns = self._timeline.now_ns - began_ns
            self._waited_ns += waited_ns
            self._longest_wait_ns = max(self._longest_wait_ns, waited_ns)
        self._taken_ns = self._timeline.now_ns

    def release(self) -> None:
        """Whoever has waited longest has it from now on."""
        held_ns = self._timeline.now_ns - self._taken_ns
        self._holds += 1
        self._held_ns += held_ns
        self._longest_hold_ns = max(self._longest_hold_ns, held_ns)
        self._taken_ns = self._timeline.now_ns
        if self._queue:
            self._queue.popleft()[0].succeed()
        else:
            self.held = False

    def figures(self) -> LockFigures:
        """Since it began; who holds it now, and who waits, counts with what it has come to so far."""
        now_ns = self._timeline.now_ns
        holding_ns = now_ns - self._taken_ns if self.held else 0
        waiting_ns = [now_ns - since_ns for _, since_ns in self._queue]
        return LockFigures(
            holds=self._holds + self.held,
            held_ns=self._held_ns + holding_ns,
            longest_hold_ns=max(self._longest_hold_ns, holding_ns),
            waits=self._waits,
            waited_ns=self._waited_ns + sum(waiting_ns),
            longest_wait_ns=max(self._longest_wait_ns, *waiting_ns, 0),
            waiting=len(waiting_ns),
        )


class PageTableLocks:
    """``page_table_lock`` of each process; those of processes that have ended still count."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._locks: dict[tuple[int, int], MeasuredLock] = {}

    def of(self, process: SimProcess) -> MeasuredLock:
        key = (process.pid, process.start_time)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = MeasuredLock(self._timeline)
        return lock

    def figures(self) -> LockFigures:
        """Of all together."""
        every = [lock.figures() for lock in self._locks.values()]
        return LockFigures(
            holds=sum(each.holds for each in every),
            held_ns=sum(each.held_ns for each in every),
            longest_hold_ns=max((each.longest_hold_ns for each in every), default=0),
            waits=sum(each.waits for each in every),
            waited_ns=sum(each.waited_ns for each in every),
            longest_wait_ns=max((each.longest_wait_ns for each in every), default=0),
            waiting=sum(each.waiting for each in every),
        )
