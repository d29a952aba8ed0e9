"""Going on with a job that nobody ended: killed, interrupted, cancelled or stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numamig.backends.base import Backend
from numamig.errors import UsageError
from numamig.migrate.journal.packing import pack_left, unpack_batch
from numamig.migrate.journal.record import JobRecord, Recorder
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.left import LeftPages
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.request import Request
from numamig.migrate.undo import demand_same_memory
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.pages import PageRuns

__all__ = ["moved_pages", "plan_to_go_on", "settle_doubtful"]


def plan_to_go_on(backend: Backend, recorder: Recorder, entry: JobEntry) -> tuple[Plan, JobRecord]:
    """What is left of a job, from its own request and the pages as they are now; and its record, to be gone on with.

    :raises UsageError: it is done, or it took another one back: that is simply done again.
    :raises RefusedError: it is another process or another memory by now; or another numamig is at it.
    :raises JournalError: that it goes on could not be written down.
    :raises TargetGone: the process ended.
    """
    if entry.kind == "undo":
        raise UsageError(f"job {entry.id} took back job {entry.undoes}", hint=f"numamig undo {entry.undoes} goes on")
    if entry.state == "done":
        raise UsageError(f"job {entry.id} is done", hint="numamig move does it anew, numamig undo takes it back")
    demand_same_memory(backend, entry)
    record = recorder.go_on(entry)
    record.lock()
    try:
        settle_doubtful(backend, recorder.journal, entry)
        before = moved_pages(recorder.journal, entry)
        record.before = OutcomeCounts.of({Outcome.MOVED: before})
        request = Request.from_dict(entry.request)
        if request.most_pages is not None:
            if before >= request.most_pages:
                raise UsageError(f"job {entry.id} has moved all that it was to", hint="numamig move moves more")
            request = replace(request, most_pages=request.most_pages - before)
        plan = plan_request(backend, request)
        record.widen(plan)
        record.act("resume")
        return plan, record
    except BaseException:
        record.unlock()
        raise


def settle_doubtful(backend: Backend, journal: Journal, entry: JobEntry) -> None:
    """Give each batch a result that has none, by looking where its pages are: on the target is moved.

    :raises TargetGone: the process ended.
    """
    for number in journal.batch_numbers(entry.id):
        batch = journal.batch(entry.id, number)
        if batch is None or batch.left is not None:
            continue
        intended = unpack_batch(batch.intended)
        end = intended.address + intended.page_size.view(np.uint64)
        ranges = list(zip(intended.address.tolist(), end.tolist(), strict=True))
        seen = PageRuns.concatenate(backend.page_runs(entry.image.pid, ranges))
        every = np.full(len(end), Outcome.NOT_TRIED, np.int8)
        meant = LeftPages.of(intended.address, end, every, intended.source, intended.target)
        # By address and not by folio: small pages may have become a huge one since, that begins below them.
        parts = []
        for target in np.unique(intended.target).tolist():
            there = seen[seen.node == target]
            parts.append(meant.only(meant.target == target).without(there.address, there.end))
        left = LeftPages.joined(parts)
        journal.set_left(entry.id, number, pack_left(left))


def moved_pages(journal: Journal, entry: JobEntry) -> int:
    """Base pages that the journal says were moved; those of a batch without a result are not among them."""
    return journal.moved_pages(entry.id, entry.page_size)
