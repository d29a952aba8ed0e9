"""Virtual time: it jumps where nothing happens, is everybody's own while looking, and can be paced by the wall."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest
import simpy

from numamig.backends.simulator.timeline import MachineClock, Timeline
from numamig.clock import PacedClock

SECOND = 10**9


class Wall:
    """A wall clock that moves when somebody sleeps, or is told to."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, duration_s: float) -> None:
        self.slept.append(duration_s)
        self.now_ns += round(duration_s * 1e9)


def paced(speed: float | None) -> tuple[MachineClock, Timeline, Wall]:
    timeline, wall = Timeline(), Wall()
    return MachineClock(timeline, threading.RLock(), speed, wall.monotonic_ns, wall.sleep), timeline, wall


def ticking(timeline: Timeline, every_ns: int, seen: list[int], cost: Wall | None = None) -> None:
    def tick() -> Generator[simpy.Event, None, None]:
        while True:
            yield timeline.timeout(every_ns)
            seen.append(timeline.now_ns)
            if cost is not None:
                cost.now_ns += 10_000_000

    timeline.process(tick())


def test_without_a_pace_waiting_takes_no_time() -> None:
    clock, timeline, wall = paced(None)
    seen: list[int] = []
    ticking(timeline, SECOND, seen)
    clock.sleep_ns(3 * SECOND + 1)
    assert seen == [SECOND, 2 * SECOND, 3 * SECOND]
    assert (clock.now_ns(), wall.slept, clock.keep_pace(9.0)) == (3 * SECOND + 1, [], 0.0)


def test_looking_takes_the_time_of_who_looks() -> None:
    clock, timeline, _ = paced(None)
    clock.look_ns(500)
    others: list[int] = []
    thread = threading.Thread(target=lambda: others.append(clock.now_ns()))
    thread.start()
    thread.join()
    assert (clock.now_ns(), timeline.now_ns, others) == (500, 0, [0])
    clock.act()
    assert timeline.now_ns == 500


@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0])
def test_the_machine_waits_for_the_wall(speed: float) -> None:
    clock, timeline, wall = paced(speed)
    timeline.advance_to(SECOND)
    assert clock.keep_pace() == pytest.approx(1 / speed)
    assert clock.keep_pace(0.1) == pytest.approx(1 / speed - 0.1, abs=1e-6)
    assert wall.slept == pytest.approx([0.1])
    wall.slept.clear()
    clock.sleep_ns(SECOND)
    assert sum(wall.slept) == pytest.approx(2 / speed - 0.1, rel=1e-6)
    assert max(wall.slept) <= 0.1


@pytest.mark.parametrize("speed", [0.5, 10.0])
def test_the_wall_takes_the_machine_along_but_only_when_asked(speed: float) -> None:
    clock, timeline, wall = paced(speed)
    seen: list[int] = []
    ticking(timeline, SECOND, seen)
    wall.now_ns = 4 * SECOND
    assert (clock.now_ns(), seen) == (0, [])
    assert clock.keep_pace() == 0.0
    assert clock.now_ns() == round(4 * speed * SECOND)
    # An event at this very moment is still to come.
    assert seen == [s * SECOND for s in range(1, round(4 * speed))]


def test_another_pace_begins_where_the_machine_is() -> None:
    clock, timeline, wall = paced(0.001)
    timeline.advance_to(SECOND)
    assert clock.keep_pace() == pytest.approx(1000)
    clock.speed = 2.0
    assert clock.keep_pace() == 0.0
    wall.now_ns += SECOND
    clock.keep_pace()
    assert clock.now_ns() == 3 * SECOND
    clock.speed = None
    wall.now_ns += SECOND
    clock.keep_pace()
    assert clock.now_ns() == 3 * SECOND


def test_a_machine_that_cannot_follow_falls_behind_and_keeps_nobody_waiting() -> None:
    clock, timeline, wall = paced(1000.0)
    seen: list[int] = []
    ticking(timeline, SECOND, seen, cost=wall)
    wall.now_ns += SECOND
    began_ns = wall.now_ns
    assert clock.keep_pace() == 0.0
    # A thousand ticks were due; each costs 10 ms of the wall.
    assert wall.now_ns - began_ns <= 40_000_000
    assert 1 <= len(seen) <= 4
    assert clock.keep_pace() == 0.0
    assert len(seen) <= 4


def test_a_machines_clock_is_a_paced_one() -> None:
    assert isinstance(paced(1.0)[0], PacedClock)
