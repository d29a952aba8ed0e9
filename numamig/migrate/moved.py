"""Where the pages of a job should be, as the journal has it; and whether they are there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from numamig.backends.base import Backend, Hold
from numamig.errors import NumamigError, UsageError
from numamig.migrate.journal.packing import unpack_batch, unpack_left
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.left import LeftPages
from numamig.model.outcome import Outcome
from numamig.model.process import Process
from numamig.observe.verify import Verified, verify

__all__ = ["MOST_VERIFIED_PAGES", "verify_ended", "verify_moved", "where_moved"]

_TOGETHER = 64  # batches
MOST_VERIFIED_PAGES = 1 << 22
"""Looked at after each job of a queue: some 32 MiB of pagemap, a tenth of a second."""


def where_moved(journal: Journal, entry: JobEntry) -> list[tuple[int, int, int]]:
    """(start, end, node) of what a job moved, ascending.

    :raises UsageError: it moved nothing.
    """
    parts = list(_parts(journal, entry))
    if not parts:
        raise UsageError(f"job {entry.id} moved no page", hint="numamig jobs lists what others did")
    return _rows(LeftPages.joined(parts))


def verify_moved(
    backend: Backend, hold: Hold, journal: Journal, entry: JobEntry, most_pages: int | None = None
) -> Verified | None:
    """Count where what a job moved is now, some batches at a time; None where it moved nothing.

    :param most_pages: look at every so many-th batch only, that it is about so many base pages; None: at all
    :raises TargetGone: the process ended, or replaced its memory.
    :raises RefusedError: the caller may not look.
    """
    total: Verified | None = None
    chosen = entry.outcomes.total
    every = 1 if most_pages is None else max(1, -(-chosen // most_pages))
    for part in _parts(journal, entry, every):
        counted = verify(backend, hold, _rows(part))
        total = counted if total is None else total + counted
    return total


def verify_ended(backend: Backend, process: Process, journal: Journal, number: int) -> Verified | None:
    """``verify_moved`` at a bounded cost, for a job that has ended; None also where its pages cannot be seen."""
    try:
        hold = backend.hold(process)
        try:
            return verify_moved(backend, hold, journal, journal.job(number), MOST_VERIFIED_PAGES)
        finally:
            hold.close()
    except NumamigError:  # to look is no part of the job: it is done whether or not one can see it
        return None


def _parts(journal: Journal, entry: JobEntry, every_nth: int = 1) -> Iterator[LeftPages]:
    """Intervals that some batches moved, with the node that they went to."""
    several: list[LeftPages] = []
    for number in journal.batch_numbers(entry.id)[::every_nth]:
        batch = journal.batch(entry.id, number)
        if batch is None or batch.left is None:
            continue
        intended = unpack_batch(batch.intended)
        end = intended.address + intended.page_size.view(np.uint64)
        every = np.full(len(end), Outcome.MOVED, np.int8)
        # As if all had come from one node: neighbours are one interval.
        moved = LeftPages.of(intended.address, end, every, every.astype(np.int16), intended.target)
        left = unpack_left(batch.left)
        moved = moved.without(left.start, left.end)
        if len(moved):
            several.append(moved)
        if len(several) == _TOGETHER:
            yield LeftPages.joined(several)
            several = []
    if several:
        yield LeftPages.joined(several)


def _rows(moved: LeftPages) -> list[tuple[int, int, int]]:
    return list(zip(moved.start.tolist(), moved.end.tolist(), moved.target.tolist(), strict=True))
