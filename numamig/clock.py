"""Time, passed in: the system's monotonic clock, or a virtual one that moves only when it is told to."""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

__all__ = ["Clock", "PacedClock", "SystemClock", "VirtualClock"]


class Clock(Protocol):
    """What the engine knows of time."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Let that much time pass."""
        ...


@runtime_checkable
class PacedClock(Clock, Protocol):
    """A clock whose time is not the wall's, and that can be shown at a pace. Optional: ask with ``isinstance``."""

    speed: float | None
    """How many times as fast as the wall's its time passes; None: as fast as it can be worked out."""

    def keep_pace(self, most_s: float = 0.0) -> float:
        """Between two steps: let time pass that the wall is ahead, or wait while the wall is behind.

        :param most_s: seconds to wait at most
        :returns: seconds still to wait
        """
        ...


class SystemClock:
    """CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        if duration_ns > 0:
            time.sleep(duration_ns / 1e9)


class VirtualClock:
    """A clock for a machine in memory: sleeping moves the hands and takes no time."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_ns(self, duration_ns: int) -> None:
        self._now_ns += max(0, int(duration_ns))
