"""How much at once, and how long to wait: pure controllers that are told what happened."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pacer"]

_MOST_PAGES = 65_536
_AIM = 0.85  # of the budget: leaves room for the spread of call durations


@dataclass(slots=True)
class Pacer:
    """Steers the size of batches towards a latency budget, and the gaps between them towards a byte rate."""

    batch_pages: int
    """Base pages of the next batch."""
    budget_ns: int | None = None
    """Wanted duration of one call."""
    rate: int | None = None
    """Bytes per second, at most."""
    _owed_ns: float = 0.0

    @property
    def steers(self) -> bool:
        """Whether it has anything to learn, or to say."""
        return self.budget_ns is not None or self.rate is not None

    def after_batch(self, pages: int, call_ns: int, bytes_moved: int, elapsed_ns: int) -> int:
        """Learn from one batch; returns how long to wait before the next, in ns.

        :param pages: base pages that the call named
        :param call_ns: duration of the call
        :param elapsed_ns: duration of the whole step, looking included
        """
        if self.budget_ns is not None and pages and call_ns:
            # At most halved or doubled at a time: one slow call must not stop the job, one quick one not flood it.
            factor = min(2.0, max(0.5, _AIM * self.budget_ns / call_ns))
            self.batch_pages = max(1, min(_MOST_PAGES, round(pages * factor)))
        if self.rate is None:
            return 0
        self._owed_ns = max(0.0, self._owed_ns + bytes_moved / self.rate * 1e9 - elapsed_ns)
        return round(self._owed_ns)

    def waited(self, duration_ns: int) -> None:
        """Time has passed since the last batch."""
        self._owed_ns = max(0.0, self._owed_ns - duration_ns)
