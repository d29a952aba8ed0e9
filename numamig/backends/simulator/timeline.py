"""Virtual time: discrete events in their order, a clock for each who acts, and pacing for those who watch.

The machine has one time, to which its actors' events belong. Each thread that acts on the machine has a time of its own
besides: looking takes the time of who looks, and nobody else's. What changes the machine happens at the time of who
does it, and takes the machine along.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import simpy

__all__ = ["MachineClock", "Timeline"]


class Timeline(simpy.Environment):
    """simpy's environment in whole nanoseconds, which jumps where nothing happens in between."""

    @property
    def now_ns(self) -> int:
        return int(self._now)

    @property
    def quiet(self) -> bool:
        """Whether nothing is going to happen by itself."""
        return self.peek() == float("inf")

    def advance_to(self, then_ns: int) -> None:
        """Let everything happen that is due before then. Never goes back."""
        if then_ns <= self._now:
            return
        if self.peek() > then_ns:
            self._now = then_ns
        else:
            self.run(then_ns)


class MachineClock:
    """The clock of a machine in memory, as each thread that uses it sees it.

    :param speed: None: waiting takes no time. Else the machine's time follows the wall's, that many times as fast, and
        whoever is ahead of it waits.
    """

    def __init__(
        self,
        timeline: Timeline,
        lock: threading.RLock,
        speed: float | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timeline = timeline
        self._lock = lock
        self._own = threading.local()
        self._monotonic_ns, self._sleep = monotonic_ns, sleep
        self.speed = speed

    @property
    def speed(self) -> float | None:
        return self._speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        self._speed = speed
        self._origin_ns, self._began_ns = self._timeline.now_ns, self._monotonic_ns()

    def now_ns(self) -> int:
        """The machine's time, or the caller's own where that is later."""
        with self._lock:
            self.catch_up()
            return self._here()

    def look_ns(self, duration_ns: int) -> None:
        """Time that the caller spends looking: the machine does not wait for it."""
        self._own.until = self._here() + duration_ns

    def sleep_ns(self, duration_ns: int) -> None:
        """Let time pass, for the caller and for the machine."""
        with self._lock:
            self.catch_up()
            self._timeline.advance_to(self._here() + max(0, int(duration_ns)))
        self.wait()

    def act(self) -> None:
        """The caller is about to change the machine, at its own time. Call with the lock."""
        self.catch_up()
        self._timeline.advance_to(self._here())

    def catch_up(self) -> None:
        """Where time is paced, let the machine's follow the wall's. Call with the lock."""
        if self._speed is not None:
            self._timeline.advance_to(self._paced_ns())

    def wait(self) -> None:
        """Where time is paced, wait until the wall has caught up with the machine. Call without the lock."""
        if self._speed is None:
            return
        ahead_ns = self._timeline.now_ns - self._paced_ns()
        if ahead_ns > 0:
            self._sleep(ahead_ns / self._speed / 1e9)

    def _here(self) -> int:
        return max(self._timeline.now_ns, getattr(self._own, "until", 0))

    def _paced_ns(self) -> int:
        return self._origin_ns + int((self._monotonic_ns() - self._began_ns) * (self._speed or 0))
