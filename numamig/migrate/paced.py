"""What the pacer of a job is told of a step, and how long that makes the job wait."""

from __future__ import annotations

from numamig.migrate.mover import BatchResult
from numamig.migrate.pacing import Pacer
from numamig.model.outcome import Outcome

__all__ = ["pace"]


def pace(pacer: Pacer, folios: int, result: BatchResult, page_size: int, elapsed_ns: int) -> int:
    """Tell the pacer; how long to wait, in ns.

    :param folios: of the batch
    :param elapsed_ns: duration of the whole step
    """
    if not pacer.steers:
        return 0
    rounds, threads = result.call_ns, result.calls_at_once
    moved = result.outcomes[Outcome.MOVED] * page_size
    pages = -(-result.outcomes.total // threads)
    # Where a call failed half way, others named the rest of it: no one of them was about so many pages.
    call_ns = rounds[0] if len(rounds) == 1 else 0
    calls = len(rounds) * threads
    return pacer.after_batch(pages, call_ns, moved, elapsed_ns, calls, -(-folios // threads))
