"""One job: a plan that is carried out in steps, can be paused and cancelled between them, and accounts for every page.

The algorithm is that of the 2004 thread: choose some pages as they are now, let go, move each, go back while pages
remain. A *step* is one batch; a *pass* has given every selected page its turn once; further passes look again for
what was busy.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import numpy as np

from numamig.backends.base import Backend, Hold
from numamig.errors import RefusedError, TargetGone
from numamig.migrate.ahead import ChooserAhead
from numamig.migrate.left import LeftPages
from numamig.migrate.mover import BatchResult, Stop, move_batch, resolve
from numamig.migrate.pacing import Pacer
from numamig.migrate.plan import Plan
from numamig.migrate.request import Request
from numamig.migrate.select import Batch, Chooser, from_sources
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.events import BatchMoved, Event, JobEnded, JobStarted, PassEnded
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.pages import PageRuns, Ranges

__all__ = ["Job"]

_RETRIED = (Outcome.BUSY,)
_TREND = 120  # batches kept for the plots


class _Lost:
    """In place of a hold where there was nothing left to hold on to."""

    def __init__(self, why: TargetGone) -> None:
        self._why = why

    def check(self) -> None:
        raise self._why

    def page_runs(self, ranges: Ranges) -> Iterator[PageRuns]:
        raise self._why

    def close(self) -> None:
        """There is nothing to let go of."""


class Job:
    """The state machine and the counters of one migration. One thread steps it; any may say run and hold."""

    def __init__(self, number: int, backend: Backend, plan: Plan) -> None:
        self.number = number
        self.plan = plan
        self.state = JobState.HELD
        self._state_lock = threading.Lock()
        self.reason = ""
        self.pacer = Pacer(plan.request.batch_pages, plan.request.budget_ns, plan.request.rate)
        self._backend = backend
        self._hold: Hold
        try:
            self._hold = backend.hold(plan.process)
        except TargetGone as error:
            self._hold = _Lost(error)
        self._ahead = not backend.capabilities.virtual_time
        """Whether choosing may go on while pages move: not where only one thing can happen at a time."""
        self._chooser = self._new_chooser(list(plan.ranges))
        self._booked = (0, OutcomeCounts())
        """Pages chosen, and their outcomes: replaced as one, so that a snapshot adds up at any moment."""
        self._moved: dict[tuple[int, int], int] = {}
        self._steps = 0
        self._passes = 1
        self._busy_ns = 0
        self._began_ns = 0
        self._call_ns: deque[int] = deque(maxlen=_TREND)
        self._left: list[LeftPages] = []
        """Busy pages of the present pass."""
        self._again = LeftPages.none()
        """Busy pages of the last pass that still await their turn in this one."""

    @property
    def request(self) -> Request:
        return self.plan.request

    def snapshot(self) -> JobSnapshot:
        chosen, outcomes = self._booked
        return JobSnapshot(
            number=self.number,
            plan=self.plan,
            state=self.state,
            reason=self.reason,
            chosen=chosen,
            outcomes=outcomes,
            moved=dict(self._moved),
            steps=self._steps,
            passes=self._passes,
            busy_ns=self._busy_ns,
            cursor=self._chooser.place.cursor,
            batch_pages=self.pacer.batch_pages,
            call_ns=tuple(self._call_ns.copy()),
        )

    def step(self) -> list[Event]:
        """Choose one batch, move it, account for it; the events that it caused. Nothing when the job has ended."""
        if self.state.ended:
            return []
        clock = self._backend.clock
        began = clock.now_ns()
        events: list[Event] = []
        if not self._steps:
            self._began_ns = began
            events.append(JobStarted(self.number, self.plan.process.pid, began, self.plan.pages))
        try:
            self._hold.check()  # a pid may be another's by now, and the memory another program's
            low = self._chooser.place.cursor
            most_pages = self.pacer.batch_pages * self.request.threads
            batch = self._chooser.next_batch(most_pages)
            if self._ahead and self.state is JobState.RUNNING:
                self._chooser.choose_ahead(most_pages)
            result = self._move(batch) if len(batch) else None
            self._settle_passed_over(low)
        except TargetGone as error:
            return [*events, *self._stop(error.message, gone=True)]
        except RefusedError as error:
            return [*events, *self._stop(error.message)]
        now = clock.now_ns()
        if result is not None:
            gap = self._pace(result, now - began)
            events.append(
                BatchMoved(
                    self.number,
                    self.plan.process.pid,
                    now,
                    self._steps,
                    self._passes,
                    *batch.span,
                    result.outcomes,
                    sum(result.call_ns),
                    gap,
                )
            )
        self._busy_ns += now - began
        if result is not None and result.stop is not None:
            return [*events, *self._stop(result.stop.value, gone=result.stop is Stop.TARGET_GONE)]
        if self._chooser.place.exhausted:
            events.extend(self._end_pass())
        return events

    def waited(self, duration_ns: int) -> None:
        """A gap has passed between two steps of a running job."""
        self._busy_ns += duration_ns
        self.pacer.waited(duration_ns)

    def run(self) -> None:
        """Let it be stepped until it ends or is held. May be said from any thread."""
        self._enter(JobState.RUNNING)

    def hold(self) -> None:
        """Pause after the step it is in. May be said from any thread."""
        self._enter(JobState.HELD)

    def _enter(self, state: JobState) -> None:
        """A state that ended is never left, whoever asks at the same moment."""
        with self._state_lock:
            if not self.state.ended:
                self.state = state

    def cancel(self) -> list[Event]:
        """End here: what moved stays moved, what had no turn is not tried."""
        if self.state.ended:
            return []
        return self._stop("cancelled", state=JobState.CANCELLED)

    def _new_chooser(self, ranges: list[tuple[int, int]]) -> ChooserAhead:
        plan = self.plan
        chooser = Chooser(self._backend, self._hold, plan.request, ranges, plan.huge_page_size, plan.page_size)
        return ChooserAhead(chooser, self._backend.clock)

    def _move(self, batch: Batch) -> BatchResult:
        """Move a batch and book it; pages that were booked before (busy in an earlier pass) are booked anew."""
        result = move_batch(
            self._backend,
            self.plan.process.pid,
            batch,
            self.plan.page_size,
            shared=self.request.shared,
            threads=self.request.threads,
        )
        booked = self._take_from_again(batch)
        self._book(result.outcomes, instead_of=booked)
        # Replaced as one, since others may be reading it.
        moved = self._moved.copy()
        for way, pages in result.moved.items():
            moved[way] = moved.get(way, 0) + pages
        self._moved = moved
        if len(result.left):
            self._left.append(result.left.with_outcome(*_RETRIED))
        self._steps += 1
        self._call_ns.append(sum(result.call_ns))
        return result

    def _book(self, outcomes: OutcomeCounts, instead_of: OutcomeCounts | None = None) -> None:
        chosen, booked = self._booked
        if instead_of is not None:
            chosen, booked = chosen - instead_of.total, booked - instead_of
        self._booked = (chosen + outcomes.total, booked + outcomes)

    def _take_from_again(self, batch: Batch) -> OutcomeCounts | None:
        if not len(self._again):
            return None
        before = self._again.counts(self.plan.page_size)
        self._again = self._again.without(batch.address, batch.end)
        return before - self._again.counts(self.plan.page_size)

    def _settle_passed_over(self, low: int) -> None:
        """Pages that were busy and are not on a source any more are asked once more what became of them."""
        if not len(self._again):
            return
        place = self._chooser.place
        high = (1 << 64) - 1 if place.exhausted else place.cursor
        lost = self._again.between(low, high)
        if not len(lost):
            return
        page = self.plan.page_size
        address = lost.addresses(page)
        target = np.full(len(address), self.request.target, np.int32)
        outcome = resolve(
            self._backend, self.plan.process.pid, address, target, Outcome.BUSY, page, at_target=Outcome.ALREADY_THERE
        )
        settled = OutcomeCounts(np.bincount(outcome, minlength=len(Outcome)).astype(np.int64))
        self._book(settled, instead_of=lost.counts(page))
        still = address[outcome == Outcome.BUSY]
        busy = np.full(len(still), Outcome.BUSY, np.int8)
        self._left.append(LeftPages.of(still, still + np.uint64(page), busy))
        self._again = self._again.without(lost.start, lost.end)

    def _pace(self, result: BatchResult, elapsed_ns: int) -> int:
        if not self.pacer.steers:
            return 0
        moved = result.outcomes[Outcome.MOVED] * self.plan.page_size
        pages = -(-result.outcomes.total // self.request.threads)
        return self.pacer.after_batch(pages, max(result.call_ns), moved, elapsed_ns)

    def _end_pass(self) -> list[Event]:
        busy = LeftPages.joined(self._left)
        self._left = []
        pages = busy.counts(self.plan.page_size).total
        retry = self.request.retry
        again = pages > 0 and retry.again(self._passes, self._backend.clock.now_ns() - self._began_ns)
        gap = retry.backoff_after(self._passes) if again else 0
        events: list[Event] = [PassEnded(self.number, self._backend.clock.now_ns(), self._passes, pages, gap)]
        if again:
            self._again = busy
            self._passes += 1
            self._chooser.close()
            self._chooser = self._new_chooser(busy.ranges())
            return events
        return [*events, *self._stop("done", state=JobState.DONE)]

    def _stop(self, reason: str, *, state: JobState = JobState.STOPPED, gone: bool = False) -> list[Event]:
        if state is not JobState.DONE and self._passes == 1:
            self._count_rest(gone=gone)
        if gone:
            busy = LeftPages.joined([self._again, *self._left]).counts(self.plan.page_size)
            self._book(OutcomeCounts.of({Outcome.GONE: busy.total}), instead_of=busy)
        self.reason = reason
        self._enter(state)
        self._chooser.close()
        self._hold.close()
        pid = self.plan.process.pid
        return [JobEnded(self.number, pid, self._backend.clock.now_ns(), reason, self._booked[1])]

    def _count_rest(self, *, gone: bool) -> None:
        """Book what the job did not come to: counted where the process can still be seen, else from the plan."""
        rest, outcome = 0, Outcome.NOT_TRIED
        try:
            if not gone:
                for runs in self._hold.page_runs(self._chooser.remaining()):
                    wanted = from_sources(runs.node, self.request)
                    rest += int(runs.size_bytes[wanted].sum()) // self.plan.page_size
        except TargetGone:
            gone = True
        except RefusedError:
            rest = max(0, self.plan.pages - self._booked[0])
        if gone:
            rest, outcome = max(0, self.plan.pages - self._booked[0]), Outcome.GONE
        self._book(OutcomeCounts.of({outcome: rest}))
