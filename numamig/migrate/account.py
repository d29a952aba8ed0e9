"""Which pages a job has had its turn at, which were busy, and which it never came to: each in the ledger, and once."""

from __future__ import annotations

import numpy as np

from numamig.backends.base import Backend, Hold
from numamig.errors import RefusedError, TargetGone
from numamig.migrate.batch import Batch
from numamig.migrate.ledger import Ledger, Settled, settled_as
from numamig.migrate.left import LeftPages
from numamig.migrate.mover import BatchResult
from numamig.migrate.plan import Plan
from numamig.migrate.resolve import resolve
from numamig.migrate.select import meant, narrowed
from numamig.migrate.stayed import Stayed
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges

__all__ = ["Account"]

_RETRIED = (Outcome.BUSY,)
_SETTLED_TOGETHER = 1 << 16  # pages


class Account:
    """Of one job. One thread books; ``ledger`` may be read by any."""

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self.plan = plan
        self.ledger = Ledger(plan.ranges)
        self._backend = backend
        self._left: list[LeftPages] = []
        """Busy pages of the present pass."""
        self._stayed = Stayed()
        """Pages that are not tried again; those that were busy in the end are in ``_at_last``."""
        self._at_last = LeftPages.none()
        self._again = LeftPages.none()
        """Busy pages of the last pass that still await their turn in this one."""

    def aim_at(self, plan: Plan) -> None:
        """It goes by another plan from now on, for the same memory."""
        self.plan = plan

    def book(self, batch: Batch, result: BatchResult, pages: int) -> None:
        """A batch that was moved; pages that were booked before (busy in an earlier pass) are booked anew."""
        settled, before = result.settled, None
        if not isinstance(settled, Settled):
            if not len(self._again):
                self.ledger.book_even(settled, pages)
                return
            settled = _whole(batch, self.plan.page_size, Outcome.MOVED)
        if len(self._again):
            before = self._again.within(batch.address, batch.end)
            self._again = self._again.without(batch.address, batch.end)
        self.ledger.book(settled, before, self.plan.page_size)
        if len(result.left):
            busy = np.isin(result.left.outcome, _RETRIED)
            self._left.append(result.left.only(busy))
            self._stayed.add(result.left.only(~busy))

    def leave_for_want_of_room(self, no_room: Settled) -> None:
        """What the target had no room for, so that it was not tried."""
        self.ledger.book(no_room)
        end = no_room.address + (no_room.pages * self.plan.page_size).view(np.uint64)
        self._stayed.add(LeftPages.of(no_room.address, end, no_room.outcome, no_room.source, no_room.target))

    def leave(self, batch: Batch) -> None:
        """A batch that was chosen and then not tried; what was busy before stays so."""
        if len(batch) and not len(self._again):
            self.ledger.book(_whole(batch, self.plan.page_size, Outcome.NOT_TRIED))

    def end_pass(self) -> LeftPages:
        """Busy pages of the pass that ended.

        Those of the pass before that were not chosen again, since they are on no source any more, are asked once more
        what became of them.
        """
        page, pid = self.plan.page_size, self.plan.process.pid
        for lost in self._again.chunks(_SETTLED_TOGETHER, page):
            seen = settled_as(lost, page)
            there = Outcome.ALREADY_THERE
            outcome = resolve(self._backend, pid, seen.address, seen.target, Outcome.BUSY, page, at_target=there)
            self.ledger.book(seen._replace(outcome=outcome), lost, page)
            still = outcome == Outcome.BUSY
            start = seen.address[still]
            end = start + np.uint64(page)
            self._left.append(LeftPages.of(start, end, outcome[still], seen.source[still], seen.target[still]))
        self._again = LeftPages.none()
        busy, self._left = LeftPages.joined(self._left), []
        self._at_last = busy
        return busy

    def look_again(self, busy: LeftPages) -> None:
        """A further pass begins, for these."""
        self._again, self._at_last = busy, LeftPages.none()

    @property
    def stayed(self) -> LeftPages:
        """Where pages stayed, and why, as it is now."""
        return LeftPages.joined([self._stayed.pages, self._at_last, self.busy])

    @property
    def busy(self) -> LeftPages:
        """What is to be looked for again, in this pass or in the next."""
        return LeftPages.joined([self._again, *self._left])

    def all_gone(self) -> None:
        """What was busy is gone with its process."""
        page = self.plan.page_size
        for lost in self.busy.chunks(_SETTLED_TOGETHER, page):
            gone = settled_as(lost, page)
            self.ledger.book(gone._replace(outcome=np.full(len(gone.address), Outcome.GONE, np.int8)), lost, page)

    def count_rest(self, hold: Hold, rest: Ranges, *, gone: bool) -> None:
        """What the job did not come to: counted where the process can still be seen, else from the plan."""
        plan = self.plan
        try:
            if not gone and plan.undoes is None and plan.request.most_pages is None:
                for runs in hold.page_runs(rest):
                    runs, _ = meant(runs, plan.request, plan.page_size)
                    self._book_not_tried(narrowed(self._backend, runs, plan.request))
                return
        except TargetGone:
            gone = True
        except RefusedError:
            pass
        pages = max(0, plan.pages - self.ledger.chosen)
        if pages:
            nodes = plan.request.to.nodes
            self.ledger.book_unseen(
                pages, nodes[0] if len(nodes) == 1 else UNKNOWN_NODE, Outcome.GONE if gone else Outcome.NOT_TRIED
            )

    def _book_not_tried(self, rest: PageRuns) -> None:
        target = self.plan.request.to.targets(rest.address, rest.page_size, rest.node)
        outcome = np.full(len(rest), Outcome.NOT_TRIED, np.int8)
        self.ledger.book(Settled(rest.address, rest.size_bytes // self.plan.page_size, rest.node, target, outcome))


def _whole(batch: Batch, page_size: int, outcome: Outcome) -> Settled:
    """All of a batch with one outcome."""
    every = np.full(len(batch), outcome, np.int8)
    return Settled(batch.address, batch.size_bytes // page_size, batch.source, batch.target, every)
