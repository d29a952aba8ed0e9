"""The links between nodes as a resource: whoever copies at the same time shares them, fluidly."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import simpy

from numamig.backends.simulator.costs import CostModel
from numamig.backends.simulator.timeline import Timeline

__all__ = ["Links"]

_LEAST_BYTES = 1e-3


@dataclass(slots=True)
class _Transfer:
    left_bytes: float
    done: simpy.Event


class Links:
    """Bandwidth for copying: n copies together get what the cost model says of n copying threads."""

    def __init__(self, timeline: Timeline, costs: CostModel) -> None:
        self._timeline, self._costs = timeline, costs
        self._transfers: list[_Transfer] = []
        self._since_ns = 0
        self._changes = 0

    def transfer(self, size_bytes: float) -> simpy.Event:
        """An event that comes when so many bytes have been copied."""
        self._get_on()
        one = _Transfer(size_bytes, self._timeline.event())
        self._transfers.append(one)
        self._await_next()
        return one.done

    @property
    def bytes_per_ns(self) -> float:
        """Of each copy in progress."""
        count = len(self._transfers)
        return self._costs.copying(count) / count

    def _get_on(self) -> None:
        now = self._timeline.now_ns
        if self._transfers:
            copied = (now - self._since_ns) * self.bytes_per_ns
            for one in self._transfers:
                one.left_bytes -= copied
        self._since_ns = now

    def _await_next(self) -> None:
        self._changes += 1
        if self._transfers:
            left = min(one.left_bytes for one in self._transfers)
            self._timeline.process(self._wake(self._changes, max(0, round(left / self.bytes_per_ns))))

    def _wake(self, change: int, after_ns: int) -> Generator[simpy.Event, None, None]:
        yield self._timeline.timeout(after_ns)
        if change != self._changes:
            return  # others have come or gone since
        self._get_on()
        # Time is whole nanoseconds, so that the last bytes of a copy may seem to be a little early or late.
        least = max(_LEAST_BYTES, self.bytes_per_ns)
        for one in [each for each in self._transfers if each.left_bytes <= least]:
            self._transfers.remove(one)
            one.done.succeed()
        self._await_next()
