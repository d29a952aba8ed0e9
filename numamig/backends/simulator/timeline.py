"""Virtual time: discrete events in their order, a clock for each who acts, and pacing for those who watch.

The machine has one time, to which its actors' events belong. Each thread that acts on the machine has a time of its own
besides: looking takes the time of who looks, and nobody else's. What changes the machine happens at the time of who
does it, and takes the machine along. A step of a job takes the same virtual time at every pace: the wall moves the
machine only between steps, where somebody calls ``keep_pace``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import simpy

__all__ = ["MachineClock", "Timeline"]

_PIECE_NS = 1_000_000
_LONGEST_HOLD_NS = 30_000_000
"""Of the wall's time: as long may catching up keep others from the machine."""
_LONGEST_SLEEP_S = 0.1


class Timeline(simpy.Environment):
    """simpy's environment in whole nanoseconds, which jumps where nothing happens in between."""

    @property
    def now_ns(self) -> int:
        return self._now  # type: ignore[return-value]  # whole, since nothing else is ever added to it

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
    """The clock of a machine in memory, as each thread that uses it sees it. A ``numamig.clock.PacedClock``."""

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
        """None: waiting takes no time. Else the machine's time follows the wall's, that many times as fast."""
        return self._speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        with self._lock:
            self._speed = speed
            self._anchor()

    def now_ns(self) -> int:
        """The machine's time, or the caller's own where that is later. Takes no lock and moves nothing."""
        now_ns, own_ns = self._timeline.now_ns, getattr(self._own, "until", 0)
        return max(now_ns, own_ns)

    def look_ns(self, duration_ns: int) -> None:
        """Time that the caller spends looking: the machine does not wait for it."""
        self._own.until = self.now_ns() + duration_ns

    def sleep_ns(self, duration_ns: int) -> None:
        """Let time pass, for the caller and for the machine."""
        with self._lock:
            self._timeline.advance_to(self.now_ns() + max(0, int(duration_ns)))
        while self.keep_pace(_LONGEST_SLEEP_S):
            pass

    def act(self) -> None:
        """The caller is about to change the machine, at its own time. Call with the lock."""
        self._timeline.advance_to(self.now_ns())

    def keep_pace(self, most_s: float = 0.0) -> float:
        """Where time is paced: let happen what the wall says is due, or wait for the wall, and without the lock.

        A machine that cannot follow falls behind, instead of keeping everybody from it until it has caught up.

        :param most_s: how long to wait at most
        :returns: by how many seconds of the wall the machine is ahead of it still
        """
        with self._lock:
            if self._speed is None:
                return 0.0
            ahead_s = self._catch_up(self._speed)
        if ahead_s > 0 and most_s > 0:
            self._sleep(min(ahead_s, most_s))
            return max(0.0, ahead_s - most_s)
        return ahead_s

    def _catch_up(self, speed: float) -> float:
        """Up to the wall's time, or for as long as may be; by how many seconds the machine is ahead then."""
        timeline, began_ns = self._timeline, self._monotonic_ns()
        due_ns = self._due_ns(speed)
        while (behind_ns := due_ns - timeline.now_ns) > 0:
            # Events are many or none: in pieces, so that it can be left off.
            timeline.advance_to(due_ns if timeline.peek() > due_ns else min(due_ns, timeline.now_ns + _PIECE_NS))
            if self._monotonic_ns() - began_ns > _LONGEST_HOLD_NS:
                self._anchor()
                return 0.0
        return -behind_ns / speed / 1e9

    def _anchor(self) -> None:
        """From here on, the two times go side by side."""
        self._origin_ns, self._began_ns = self._timeline.now_ns, self._monotonic_ns()

    def _due_ns(self, speed: float) -> int:
        return self._origin_ns + int((self._monotonic_ns() - self._began_ns) * speed)
