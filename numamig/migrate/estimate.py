"""How long a job will take, and how long a call keeps a page from those who touch it: a pure function of what is known.

Where a machine cannot predict, the figures are rough and on the slow side: 1 GB/s for small pages and 10 GB/s for huge
ones, where 3.7 and 10.7 were published for two sockets of Zen 3 (RFC V3 "Accelerate page migration with batch copying
and hardware offload", 2025-09), and a call's own 25 µs and 135 ns for each CPU, whose lists it has drained
(docs/simulator.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from numamig.backends.base import FolioCost
from numamig.migrate.request import Request

__all__ = ["Estimate", "estimate", "rough_cost"]

_CALL_NS: Final = 25_000.0
_CALL_CPU_NS: Final = 135.0
_SMALL_BYTES_PER_NS: Final = 1.0
_HUGE_BYTES_PER_NS: Final = 10.0
_HUGE_BYTES: Final = 2 << 20
_LOOK_PAGE_NS: Final = 30.0
"""Choosing: reading the page map."""
_PARALLEL: Final = 1.6
"""As fast as one thread, with any more: the least that was observed with two (docs/performance.md)."""
_AIM: Final = 0.73
"""Of a budget: where batches are steered to, so that their 95th percentile is within (``numamig.migrate.budget``)."""
_MOST_PAGES: Final = 65_536
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Without retries, and without pages that stay."""

    duration_ns: int
    calls: int
    batch_pages: int
    """Base pages in a call, for the folios that most of the memory is in."""
    stall_ns: int
    """The longest that somebody waits who touches a page under migration; locks and memory bandwidth come on top."""
    least_call_ns: int
    """Duration of the dearest call that names one folio: no budget below it can be held."""
    limit: str = ""
    """What of the request decides the duration: "rate", "calls", or "" where the machine does."""


def rough_cost(folio_bytes: int, cpus: int) -> FolioCost:
    """For a machine that cannot predict.

    :param cpus: that are online
    """
    speed = _HUGE_BYTES_PER_NS if folio_bytes >= _HUGE_BYTES else _SMALL_BYTES_PER_NS
    return FolioCost(_CALL_NS + _CALL_CPU_NS * cpus, folio_bytes / speed, max(1, _HUGE_BYTES // folio_bytes))


def estimate(
    folios: Mapping[int, int], costs: Mapping[int, FolioCost], request: Request, page_size: int
) -> Estimate | None:
    """None where there is nothing to move.

    :param folios: bytes of a folio → how many are to move
    :param costs: by the same sizes
    """
    by_memory = sorted(((size, count) for size, count in folios.items() if count), key=lambda each: each[0] * each[1])
    if not by_memory:
        return None
    duration, calls, stall, least, batch_pages = 0.0, 0, 0.0, 0.0, 0
    by_limit = {"rate": 0.0, "calls": 0.0, "": 0.0}
    for size, count in by_memory:
        cost = costs[size]
        batch = min(count, _batch_folios(cost, size, request, page_size))
        needed = -(-count // batch)
        moving = (needed * cost.call_ns + count * cost.folio_ns) / (_PARALLEL if request.threads > 1 else 1.0)
        taken = {
            "": moving + count * size / page_size * _LOOK_PAGE_NS,
            "rate": count * size * _NS_PER_S / request.rate if request.rate else 0.0,
            "calls": (needed - 1) * _NS_PER_S / request.most_calls if request.most_calls else 0.0,
        }
        limit = max(taken, key=lambda name: taken[name])
        by_limit[limit] += taken[limit]
        duration += taken[limit]
        calls += needed
        stall = max(stall, min(batch, cost.together) * cost.folio_ns)
        least = max(least, cost.call_ns + cost.folio_ns)
        batch_pages = max(1, batch * size // page_size)  # that of the last stays, which has most of the memory
    return Estimate(
        round(duration),
        calls,
        batch_pages,
        round(stall),
        round(least),
        max(by_limit, key=lambda name: by_limit[name]),
    )


def _batch_folios(cost: FolioCost, folio_bytes: int, request: Request, page_size: int) -> int:
    """Folios in a call."""
    if request.budget_ns is None:
        return max(1, request.batch_pages * page_size // folio_bytes)
    within = (_AIM * request.budget_ns - cost.call_ns) / max(cost.folio_ns, 1.0)
    return max(1, int(min(within, _MOST_PAGES * page_size // folio_bytes)))
