"""How fast the workload gets on: of a simulated machine looked up inside, of a real one counted by the workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from numamig.units import format_count
from tui.threads.bridge import Bridge

__all__ = ["CountedSpeed", "InsideSpeed", "Speed"]

_SAME = 0.03
"""What is within this of another counts as the same: workloads that are measured are never as fast twice."""


class Speed(Protocol):
    """Something that tells how fast a workload is."""

    def now(self) -> float | None:
        """None as long as nobody knows."""

    def words(self, speed: float) -> str:
        """Behind "it runs at"."""

    def change(self, before: float, after: float) -> str:
        """Both, and what became of it."""


class InsideSpeed:
    """Of a machine that one can look inside, in relation to all memory being local."""

    def __init__(self, bridge: Bridge, pid: Callable[[], int | None]) -> None:
        self._bridge = bridge
        self._pid = pid

    def now(self) -> float | None:
        seen = self._bridge.looker.nodes
        if seen is None or seen.workings is None:
            return None
        return next((each.speed for each in seen.workings.workloads if each.pid == self._pid()), None)

    def words(self, speed: float) -> str:
        return f"{speed * 100:.0f}% of its full speed"

    def change(self, before: float, after: float) -> str:
        return f"{before * 100:.0f}% of its full speed before, {after * 100:.0f}% now"


class CountedSpeed:
    """Of a real workload, by its own count.

    :param count: accesses in a second of its CPU time, lately; None before the first count
    """

    def __init__(self, count: Callable[[], float | None]) -> None:
        self.now = count

    def words(self, speed: float) -> str:
        return f"{format_count(round(speed))} accesses a second"

    def change(self, before: float, after: float) -> str:
        gain = after / before - 1
        rest = f"{gain:+.0%}" if abs(gain) >= _SAME else "the same: here all nodes are equally near"
        return f"{format_count(round(before))} accesses a second before, {format_count(round(after))} now: {rest}"
