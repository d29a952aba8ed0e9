"""How much at once, and how long to wait: a pure controller that is told what happened (docs/pacing.md)."""

from __future__ import annotations

from math import ceil

from numamig.migrate.budget import MOST_PAGES, CallCost
from numamig.units import format_duration

__all__ = ["Pacer", "stall_ns"]

_SECOND_NS = 1_000_000_000
_CREDIT_NS = 100_000_000  # how much of having been too slow may be made up for
_STEPS_A_SECOND = 4  # at least, where a rate is asked for: bytes flow, they do not gush
_PAGE_BYTES = 4096


class Pacer:
    """Steers the size of batches towards a latency budget, and the gaps between them towards a byte rate.

    One thread tells it what happened; any may set what is wanted, which counts from the next batch on.
    """

    __slots__ = (
        "_calls",
        "_cost",
        "_is_start",
        "_owed_at",
        "_owed_ns",
        "_page_bytes",
        "_set_pages",
        "_since_ns",
        "budget_ns",
        "most_calls",
        "rate",
    )

    def __init__(
        self,
        batch_pages: int,
        budget_ns: int | None = None,
        rate: int | None = None,
        most_calls: int | None = None,
        page_bytes: int = _PAGE_BYTES,
    ) -> None:
        self._set_pages = max(1, batch_pages)
        self.budget_ns = budget_ns
        """Wanted duration of one call; None: the size of batches is as it was set."""
        self.rate = rate
        """Bytes per second, at most; None: no limit."""
        self.most_calls = most_calls
        """Calls per second, at most; None: no limit."""
        self._cost = CallCost()
        self._is_start = True
        """Whether the size that was set still awaits its turn."""
        self._page_bytes: float = page_bytes
        """Most that was seen to move in a step for each page that a call named."""
        self._owed_ns = 0.0
        """How far the bytes are ahead of the rate; negative: behind."""
        self._owed_at: float = 1
        """The rate at which that was reckoned."""
        self._since_ns = 0
        """Time since the last step began."""
        self._calls = 0
        """Of that step."""

    @property
    def batch_pages(self) -> int:
        """Base pages of the next batch. What is set holds where no budget steers it, and is a start where one does."""
        budget, rate, fit = self.budget_ns, self.rate, self._cost.fit
        pages = self._set_pages
        if budget:
            pages = min(pages, MOST_PAGES) if fit is None or self._is_start else fit.pages_within(budget)
        if rate:
            pages = min(pages, max(1, int(rate / _STEPS_A_SECOND / self._page_bytes)))
        return pages

    @batch_pages.setter
    def batch_pages(self, pages: int) -> None:
        self._set_pages = max(1, pages)
        self._is_start = True

    @property
    def budget_note(self) -> str:
        """Why the budget cannot be held, in a sentence; empty where it can, or where nobody knows yet."""
        budget, fit = self.budget_ns, self._cost.fit
        if not budget or fit is None or not fit.lone:
            return ""
        took = fit.expected_ns(fit.lone)
        if took <= budget:
            return ""
        return f"one folio takes {format_duration(took)} here: the budget of {format_duration(budget)} cannot be held"

    @property
    def steers(self) -> bool:
        """Whether it has anything to learn, or to say."""
        return bool(self.budget_ns or self.rate or self.most_calls)

    def after_batch(
        self,
        pages: int,
        call_ns: int,
        bytes_moved: int,
        elapsed_ns: int,
        calls: int = 1,
        folios: int | None = None,
    ) -> int:
        """Learn from one step; returns how long to wait before the next, in ns.

        :param pages: base pages that one call named
        :param call_ns: duration of that call
        :param bytes_moved: by the whole step
        :param elapsed_ns: duration of the whole step, looking included
        :param calls: moving calls of the step
        :param folios: how many folios the call named; None where nobody knows
        """
        if self.budget_ns and pages > 0 and call_ns > 0:
            if folios is None and pages > self.batch_pages:
                folios = 1  # the one reason why a batch is larger than it should be
            self._cost.learn(pages, call_ns, folios)
            self._is_start = False
        self._since_ns, self._calls = elapsed_ns, calls
        rate = self.rate
        if rate:
            if pages > 0:
                self._page_bytes = max(self._page_bytes, bytes_moved / pages)
            owed = self._owed(rate) + bytes_moved * _SECOND_NS / rate - elapsed_ns
            self._owed_ns, self._owed_at = max(-_CREDIT_NS, owed), rate
        else:
            self._owed_ns = 0.0
        return self.gap_ns

    @property
    def gap_ns(self) -> int:
        """What is left to wait, by what is wanted now and what has been reported as waited."""
        gap, most_calls, rate = 0, self.most_calls, self.rate
        if most_calls:
            gap = max(0, -(-self._calls * _SECOND_NS // most_calls) - self._since_ns)
        return max(gap, ceil(self._owed(rate))) if rate else gap

    def waited(self, duration_ns: int) -> None:
        """Time has passed since the last step: as much as has really passed, which may be more than was asked for."""
        self._since_ns += duration_ns
        rate = self.rate
        if rate:
            self._owed_ns, self._owed_at = max(-_CREDIT_NS, self._owed(rate) - duration_ns), rate

    def _owed(self, rate: float) -> float:
        """What is owed at a rate: bytes are paid sooner at a higher one, but never later than they were to be."""
        owed = self._owed_ns
        return owed * min(1.0, self._owed_at / rate) if owed > 0 else owed


def stall_ns(call_ns: float, pages: int, flush_pages: int) -> int:
    """How long a thread that touches a page under migration is predicted to wait, in ns.

    The kernel unmaps some pages, copies them and maps them again before it turns to the next: whoever touches one of
    them waits until that is done (migrate_pages_batch() of mm/migrate.c). So it is that share of the call; its fixed
    part counts as if it were spread evenly, and what waits for locks or memory bandwidth is not in it.

    :param call_ns: duration of the call
    :param pages: base pages that it named
    :param flush_pages: base pages unmapped at a time: 512 since Linux 6.3, those of one folio before
    """
    return round(call_ns * min(1.0, max(1, flush_pages) / pages)) if pages > 0 else 0
