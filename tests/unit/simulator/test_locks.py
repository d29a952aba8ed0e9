"""Locks that are measured: who holds them for how long, and who waits."""

from __future__ import annotations

from collections.abc import Generator

import simpy

from numamig.backends.simulator.locks import MeasuredLock, PageTableLocks
from numamig.backends.simulator.process import SimProcess
from numamig.backends.simulator.timeline import Timeline
from numamig.model.workings import LockFigures


def use(lock: MeasuredLock, timeline: Timeline, begin_ns: int, hold_ns: int) -> simpy.Process:
    def steps() -> Generator[simpy.Event, object, None]:
        yield timeline.timeout(begin_ns)
        yield from lock.take()
        yield timeline.timeout(hold_ns)
        lock.release()

    return timeline.process(steps())


def test_holds_and_waits_are_measured_also_while_they_last() -> None:
    timeline = Timeline()
    lock = MeasuredLock(timeline)
    for begin_ns, hold_ns in ((0, 100), (10, 50), (30, 20)):
        use(lock, timeline, begin_ns, hold_ns)
    timeline.advance_to(40)
    assert lock.figures() == LockFigures(1, 40, 40, waits=2, waited_ns=30 + 10, longest_wait_ns=30, waiting=2)
    timeline.advance_to(110)
    assert lock.figures() == LockFigures(2, 110, 100, waits=2, waited_ns=90 + 80, longest_wait_ns=90, waiting=1)
    timeline.advance_to(1000)
    assert lock.figures() == LockFigures(3, 170, 100, waits=2, waited_ns=90 + 120, longest_wait_ns=120, waiting=0)
    assert not lock.held


def test_each_address_space_has_its_own_and_they_add_up() -> None:
    timeline = Timeline()
    locks = PageTableLocks(timeline)
    one, other = SimProcess(1, "one"), SimProcess(2, "other")
    assert locks.of(one) is locks.of(one)
    use(locks.of(one), timeline, 0, 100)
    use(locks.of(other), timeline, 0, 70)
    timeline.advance_to(200)
    assert locks.figures() == LockFigures(2, 170, 100)
    again = SimProcess(1, "one", start_time=2000)
    assert locks.of(again) is not locks.of(one)
