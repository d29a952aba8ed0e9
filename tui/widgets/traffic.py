"""What jobs move into and out of each node, sampled for a sparkline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from numamig.migrate.snapshot import JobSnapshot

__all__ = ["Traffic"]

_SAMPLES = 8


class Traffic:
    """Bytes that jobs moved into and out of each node, per second of the machine's clock."""

    def __init__(self) -> None:
        self.rates: deque[dict[tuple[int, str], float]] = deque(maxlen=_SAMPLES)
        self._moved: dict[tuple[int, str], int] = {}
        self._busy_ns = 0
        self._sampled_s = float("-inf")

    def sample(self, jobs: Iterable[JobSnapshot], now_s: float) -> bool:
        """Twice a second, what has changed since; whether there is anything new to draw."""
        if now_s - self._sampled_s < 0.5:
            return False
        quiet = not any(self.rates)
        moved: dict[tuple[int, str], int] = {}
        busy_ns = 0
        for job in jobs:
            busy_ns += job.busy_ns
            for (source, target), pages in job.moved.items():
                for key in ((source, "out"), (target, "in")):
                    moved[key] = moved.get(key, 0) + pages * job.plan.page_size
        elapsed_ns = busy_ns - self._busy_ns
        grown = (
            {key: (count - self._moved.get(key, 0)) * 1e9 / elapsed_ns for key, count in moved.items()}
            if elapsed_ns > 0
            else {}
        )
        self.rates.append(grown)
        self._moved, self._busy_ns, self._sampled_s = moved, busy_ns, now_s
        return bool(grown) or not quiet

    def of(self, node: int) -> tuple[str, list[float]]:
        """Which way most of it flows, and the latest rates; nothing where all is quiet."""
        both = {way: [rates.get((node, way), 0.0) for rates in self.rates] for way in ("in", "out")}
        way = max(both, key=lambda w: sum(both[w]))
        return (way, both[way]) if sum(both[way]) else ("", [])
