"""Where the pages of a job should be, as the journal has it: what a watch looks for."""

from __future__ import annotations

import numpy as np

from numamig.errors import UsageError
from numamig.migrate.journal.packing import unpack_batch, unpack_left
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.left import LeftPages
from numamig.model.outcome import Outcome

__all__ = ["where_moved"]


def where_moved(journal: Journal, entry: JobEntry) -> list[tuple[int, int, int]]:
    """(start, end, node) of what a job moved, ascending; where it moved a page twice, the last time counts.

    :raises UsageError: it moved nothing.
    """
    moved = LeftPages.none()
    for number in journal.batch_numbers(entry.id):
        batch = journal.batch(entry.id, number)
        if batch is None or batch.left is None:
            continue
        intended = unpack_batch(batch.intended)
        end = intended.address + intended.page_size.view(np.uint64)
        every = np.zeros(len(end), np.int8)
        # The same node for all, where they came from, joins neighbours.
        here = LeftPages.of(intended.address, end, every, every.astype(np.int16), intended.target)
        left = unpack_left(batch.left)
        here = here.without(left.start, left.end)
        moved = LeftPages.joined([moved.without(here.start, here.end), here])
    if not len(moved):
        raise UsageError(f"job {entry.id} moved no page", hint="numamig jobs lists what others did")
    assert int(moved.outcome[0]) == Outcome.MOVED
    return list(zip(moved.start.tolist(), moved.end.tolist(), moved.target.tolist(), strict=True))
