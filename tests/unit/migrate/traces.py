"""Traces of call durations: seeded, with log-normal noise, and a price of a page that changes in the middle."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from numamig.migrate.pacing import Pacer

MS = 1_000_000
SETTLING = 20  # calls that do not count: a start at one page takes 16 doublings
CALLS = 400


class Cost(NamedTuple):
    """What calls cost, in ns; the price of a page changes in the middle of the trace."""

    fixed: float
    page: float
    step: float = 1.0
    spread: float = 0.15
    """Log-sigma."""
    folio: int = 1
    """Base pages of a folio."""

    def trace(self, pacer: Pacer, calls: int = CALLS, seed: object = 0) -> Iterator[tuple[int, int]]:
        """(pages, duration) of one call after the other, each of a size that the pacer says."""
        noise = random.Random(str((self, calls, seed)))
        for number in range(calls):
            page = self.page * (self.step if 2 * number >= calls else 1)
            folios = max(1, pacer.batch_pages // self.folio)
            pages = folios * self.folio
            duration = round((self.fixed + page * pages) * math.exp(noise.gauss(0, self.spread)))
            yield pages, duration
            pacer.after_batch(pages, duration, pages * 4096, duration, folios=folios)


def p95(durations: list[int]) -> int:
    return sorted(durations)[math.ceil(0.95 * len(durations)) - 1]


def settled(cost: Cost, pacer: Pacer, seed: object = 0) -> list[int]:
    return [duration for _, duration in cost.trace(pacer, seed=seed)][SETTLING:]
