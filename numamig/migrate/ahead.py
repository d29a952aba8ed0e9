"""Choosing the next batch while the kernel moves this one.

A call that moves pages leaves this process idle, and choosing takes about a tenth as long: done meanwhile, it costs
nothing. What is chosen ahead is one batch, never older than the call before it; it is chosen anew where it would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from numamig.clock import Clock
from numamig.migrate.batch import Batch
from numamig.migrate.chooser import Chooses, Place

__all__ = ["ChooserAhead"]

_KEEPS_NS = 10**9


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A batch that is being chosen."""

    most_pages: int
    before: Place
    """Where the chooser was, to begin again from there."""
    asked_ns: int
    batch: Future[Batch]


class ChooserAhead:
    """A ``Chooser`` that can be one batch ahead; ``place`` tells of the batches that were handed out."""

    def __init__(self, chooser: Chooses, clock: Clock) -> None:
        self._chooser = chooser
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: _Ahead | None = None
        self.place = chooser.place
        """Replaced after each batch; may be read from any thread."""
        self.passed = chooser.passed
        """What the batch that was handed out last passed over."""

    def next_batch(self, most_pages: int) -> Batch:
        """As ``Chooser.next_batch``.

        :raises TargetGone: the process ended.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not self._may_be_used(ahead, most_pages):
            self._take_back(ahead)
            ahead = None
        batch = self._chooser.next_batch(most_pages) if ahead is None else ahead.batch.result()
        self.place, self.passed = self._chooser.place, self._chooser.passed
        return batch

    def choose_ahead(self, most_pages: int) -> None:
        """Begin to choose the batch after the one that was handed out last."""
        if self._ahead is not None or self._chooser.place.exhausted:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "numamig-choose")
        before, now = self._chooser.place, self._clock.now_ns()
        self._ahead = _Ahead(most_pages, before, now, self._pool.submit(self._chooser.next_batch, most_pages))

    def remaining(self) -> Sequence[tuple[int, int]]:
        """What no batch that was handed out came to."""
        self.close()
        return self._chooser.remaining

    def close(self) -> None:
        """Nothing is chosen ahead any more."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._take_back(ahead)
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _may_be_used(self, ahead: _Ahead, most_pages: int) -> bool:
        return ahead.most_pages == most_pages and self._clock.now_ns() - ahead.asked_ns <= _KEEPS_NS

    def _take_back(self, ahead: _Ahead) -> None:
        ahead.batch.exception()  # waits until the other thread lets go of the chooser
        self._chooser.place = ahead.before
