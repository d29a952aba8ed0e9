"""One job: a plan that is carried out in steps, can be paused and cancelled between them, and accounts for every page.

The algorithm is that of the 2004 thread: choose some pages as they are now, let go, move each, go back while pages
remain. A *step* is one batch; a *pass* has given every selected page its turn once; further passes look again for
what was busy. What a step is going to move is in the journal before it is moved.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from numamig.backends.base import Backend, Hold
from numamig.errors import RefusedError, TargetGone
from numamig.migrate.account import Account
from numamig.migrate.ahead import ChooserAhead
from numamig.migrate.batch import Batch
from numamig.migrate.breaker import Limits
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.course import Course
from numamig.migrate.destination import Destination
from numamig.migrate.guard import Guard
from numamig.migrate.journal.record import JobRecord
from numamig.migrate.ledger import LedgerRow
from numamig.migrate.left import LeftPages
from numamig.migrate.lost import Lost
from numamig.migrate.mover import BatchResult, Stop, move_batch
from numamig.migrate.paced import pace
from numamig.migrate.pacing import Pacer
from numamig.migrate.plan import Plan
from numamig.migrate.ranges import joined
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.events import BatchMoved, Event, JobChecked, JobEnded, JobStarted, PassEnded
from numamig.model.outcome import Outcome
from numamig.model.pages import Ranges

__all__ = ["Job"]

_TREND = 120  # batches kept for the plots


class Job:
    """The state machine of one migration. One thread steps it; any may say run and hold."""

    def __init__(
        self,
        number: int,
        backend: Backend,
        plan: Plan,
        record: JobRecord | None = None,
        *,
        chooses: ChoosesFor = choose_by_plan,
        limits: Limits = Limits(),
    ) -> None:
        """
        :param record: its part of the journal; None for what nobody will want to take back
        """
        self.number = number
        self._course = Course(backend, plan, record)
        self.state = JobState.HELD
        self.reason = ""
        self.remedy = ""
        request = plan.request
        self.pacer = Pacer(request.batch_pages, request.budget_ns, request.rate, request.most_calls, plan.page_size)
        self._state_lock = threading.Lock()
        self._stepping = threading.RLock()
        self._backend = backend
        self._record = record
        self._chooses = chooses
        self._hold: Hold
        try:
            self._hold = backend.hold(plan.process)
        except TargetGone as error:
            self._hold = Lost(error)
        self._ahead = not backend.capabilities.virtual_time
        """Whether choosing may go on while pages move: not where only one thing can happen at a time."""
        self._chooser = self._new_chooser(None)
        self._account = Account(backend, plan)
        self._guard = Guard(backend, plan, limits, number)
        self._steps = 0
        self._passes = 1
        self._began_ns: int | None = None
        self._busy_ns = 0
        self._ended_ns: int | None = None
        """When the last step did."""
        self._waited_ns = 0
        """What the pacer was told of the time since then."""
        self.call_since_ns: int | None = None
        self._paused = False
        """Held since its last step: what was looked at before the first is looked at again."""
        self._call_ns: deque[int] = deque(maxlen=_TREND)
        self._batch_rates: deque[float] = deque(maxlen=_TREND)

    @property
    def plan(self) -> Plan:
        """As it is gone by now."""
        return self._course.plan

    @property
    def request(self) -> Request:
        return self.plan.request

    def snapshot(self) -> JobSnapshot:
        outcomes = self._account.ledger.outcomes
        return JobSnapshot(
            number=self.number,
            plan=self.plan,
            state=self.state,
            reason=self.reason,
            remedy=self.remedy,
            chosen=outcomes.total,
            outcomes=outcomes,
            moved=self._account.ledger.moved(),
            steps=self._steps,
            passes=self._passes,
            busy_ns=self._busy_ns,
            cursor=self._chooser.place.cursor,
            batch_pages=self.pacer.batch_pages,
            call_ns=tuple(self._call_ns.copy()),
            batch_rates=tuple(self._batch_rates.copy()),
            call_since_ns=self.call_since_ns,
            budget_note=self.pacer.budget_note,
        )

    def ledger(self) -> list[LedgerRow]:
        """What became of its pages, by region of the plan, source and target."""
        return self._account.ledger.rows()

    def stayed(self) -> LeftPages:
        """Where pages are that it left behind, and why; those that it may yet try again among them."""
        return self._account.stayed

    def step(self) -> list[Event]:
        """Choose one batch, move it, account for it; the events that it caused. Nothing when the job has ended."""
        with self._stepping:
            if self.state.ended:
                return []
            began = self._backend.clock.now_ns()
            events: list[Event] = []
            try:
                events += self._begin(began)
                events += self._next_step(began)
            except TargetGone as error:
                return [*events, *self._stop(error.message, gone=True)]
            except RefusedError as error:
                return [*events, *self._stop(error.message, error.hint or "")]
            if self.state is not JobState.RUNNING:
                self._paused = True
                self._flush()
            return events

    def _begin(self, now_ns: int) -> list[Event]:
        """What comes before the first step, and before the first one after a pause.

        :raises RefusedError: another job of another numamig moves pages of this process, or something has changed.
        """
        first = self._began_ns is None
        if not first and not self._paused:
            return []
        if first and self._record is not None:
            self._record.lock()
        events = self._check(now_ns)
        self._paused = False
        if first:
            self._flush()
            self._began_ns = now_ns
            self._guard.begin(now_ns)
            events.append(JobStarted(self.number, self.plan.process.pid, now_ns, self.plan.pages))
        else:
            self._guard.begin_again(now_ns)
        return events

    def _check(self, now_ns: int) -> list[Event]:
        """Preflight once more, where it is not fresh: all of it; only what is cheap between single steps.

        :raises RefusedError: it says no.
        """
        stale = self._course.is_stale(now_ns)
        if not self._paused and not stale:
            return []
        self._hold.check()
        whole = stale or self.state is JobState.RUNNING
        worth_telling = self._course.check(self._to_come() if whole else None)
        return [JobChecked(self.number, now_ns, self.plan.warnings)] if worth_telling else []

    def _next_step(self, began_ns: int) -> list[Event]:
        clock = self._backend.clock
        if self._ended_ns is not None and (idle_ns := began_ns - self._ended_ns - self._waited_ns) > 0:
            self.pacer.waited(idle_ns)  # whoever steps it was at something else
        threads = self.request.threads
        wanted = self.pacer.batch_pages * threads
        batch = self._chooser.next_batch(self._guard.allows(wanted, began_ns))
        if (passed := self._chooser.passed) is not None:
            self._account.ledger.book(passed)
        pages = batch.pages(self.plan.page_size)
        batch, no_room = self._guard.fits(batch, pages, began_ns)
        if no_room is not None:
            if self._passes == 1:  # else they are booked as busy, and stay so
                self._account.leave_for_want_of_room(no_room)
            if not len(batch):
                raise self._guard.refusal(no_room)
            pages = batch.pages(self.plan.page_size)
        events: list[Event] = []
        result, tripped = None, None
        if pages:
            result = self._move(batch, pages, began_ns)
        now = clock.now_ns()
        if result is not None:
            tripped = self._guard.moved(batch, result, now, again=self._passes > 1)
            gap = pace(self.pacer, len(batch), result, self.plan.page_size, now - began_ns)
            start, end = batch.span
            duration = sum(result.call_ns)
            events.append(
                BatchMoved(
                    self.number,
                    self.plan.process.pid,
                    now,
                    self._steps,
                    self._passes,
                    start,
                    end,
                    result.outcomes,
                    duration,
                    gap,
                )
            )
        if result is not None and (took_ns := now - began_ns + self._waited_ns) > 0:
            self._batch_rates.append(result.outcomes[Outcome.MOVED] * 1e9 / took_ns)
        self._busy_ns += now - began_ns
        self._ended_ns, self._waited_ns = now, 0
        if result is not None and result.stop is not None:
            return [*events, *self._stop(result.stop.value, gone=result.stop is Stop.TARGET_GONE)]
        if tripped is not None:
            return [*events, *self._stop(tripped.reason, tripped.remedy)]
        if self._chooser.place.exhausted:
            events.extend(self._end_pass())
        return events

    def waited(self, duration_ns: int) -> None:
        """A gap has passed between two steps of a running job."""
        self._busy_ns += duration_ns
        self._waited_ns += duration_ns
        self.pacer.waited(duration_ns)

    def run(self) -> None:
        """Let it be stepped until it ends or is held. May be said from any thread."""
        self._enter(JobState.RUNNING)

    def hold(self) -> None:
        """Pause after the step it is in. May be said from any thread."""
        if self.state is JobState.RUNNING:
            self._enter(JobState.HELD)
            if self._stepping.acquire(blocking=False):  # else the step that it is in does so at its end
                try:
                    self._paused = self._began_ns is not None
                    self._flush()
                finally:
                    self._stepping.release()

    def _enter(self, state: JobState) -> None:
        """A state that ended is never left, whoever asks at the same moment."""
        with self._state_lock:
            if not self.state.ended:
                self.state = state

    def cancel(self) -> list[Event]:
        """End here: what moved stays moved, what had no turn is not tried."""
        with self._stepping:
            return [] if self.state.ended else self._stop("cancelled", state=JobState.CANCELLED)

    def steer(self, what: str, **wanted: int | None) -> None:
        """Another ``batch_pages``, ``budget_ns`` or ``rate``, from the next batch on. May be said from any thread.

        :param what: the act, in words
        :raises JournalError: it could not be written down, and is not done.
        """
        self._course.set_pace(what, **wanted)
        for name, value in wanted.items():
            setattr(self.pacer, name, value)

    def retarget(self, to: Destination, what: str) -> bool:
        """What has had no turn yet goes elsewhere; what moved stays where it is, whoever goes on with the job.

        :param what: the act, in words
        :returns: whether it is a job that can be sent elsewhere
        :raises UsageError: the node does not exist.
        :raises RefusedError: preflight says no.
        :raises JournalError: it could not be written down, and is not done.
        """
        with self._stepping:
            if self.state.ended or self.plan.undoes is not None:
                return False
            begun, outcomes = self._began_ns is not None, self._account.ledger.outcomes
            had_turn = outcomes.total - outcomes[Outcome.NOT_TRIED] - self._account.busy.pages(self.plan.page_size)
            self._course.aim_at(to, self._to_come() if begun else None, had_turn, what)
            rest = list(self._chooser.remaining())
            self._account.aim_at(self.plan)
            self._guard.aim_at(self.plan)
            self._chooser = self._new_chooser(rest, again=self._passes > 1)
            self._paused |= begun and self.state is not JobState.RUNNING
            return True

    def _to_come(self) -> list[tuple[int, int]]:
        """Where pages are that had no turn yet, or will have another one."""
        return joined(self._chooser.remaining(), self._account.busy.ranges())

    def _new_chooser(self, ranges: Ranges | None, *, again: bool = False) -> ChooserAhead:
        plan = self.plan
        if again:  # what was chosen in the first pass is all that there was to choose
            plan = replace(plan, request=replace(plan.request, most_pages=None))
        return ChooserAhead(self._chooses(self._backend, self._hold, plan, ranges), self._backend.clock)

    def _move(self, batch: Batch, pages: int, began_ns: int) -> BatchResult:
        """Move a batch and book it; pages that were booked before (busy in an earlier pass) are booked anew."""
        plan, record = self.plan, self._record
        if record is not None:
            try:
                record.intend(batch, pages)
            except RefusedError:
                self._account.leave(batch)
                raise
        if self._ahead and self.state is JobState.RUNNING:  # now, and not beside the journal: that would wait for it
            self._chooser.choose_ahead(self.pacer.batch_pages * self.request.threads)
        self.call_since_ns = began_ns  # of the step, which is choosing and little else until now
        try:
            request, pid = plan.request, plan.process.pid
            result = move_batch(
                self._backend,
                pid,
                batch,
                plan.page_size,
                shared=request.shared,
                threads=request.threads,
                check=self._hold.check,  # a pid may be another's by now, and the memory another program's
            )
        finally:
            self.call_since_ns = None
        if record is not None:
            record.settle(result)
        self._account.book(batch, result, pages)
        self._steps += 1
        self._call_ns.append(sum(result.call_ns))
        return result

    def _end_pass(self) -> list[Event]:
        busy = self._account.end_pass()
        pages = busy.pages(self.plan.page_size)
        now, retry = self._backend.clock.now_ns(), self.request.retry
        again = pages > 0 and retry.again(self._passes, now - (self._began_ns or 0))
        gap = retry.backoff_after(self._passes) if again else 0
        events: list[Event] = [PassEnded(self.number, now, self._passes, pages, gap)]
        if again:
            self._account.look_again(busy)
            self._passes += 1
            self._chooser.close()
            self._chooser = self._new_chooser(busy.ranges(), again=True)
            return events
        return [*events, *self._stop("done", state=JobState.DONE)]

    def _stop(
        self, reason: str, remedy: str = "", *, state: JobState = JobState.STOPPED, gone: bool = False
    ) -> list[Event]:
        if state is not JobState.DONE and self._passes == 1:
            self._account.count_rest(self._hold, self._chooser.remaining(), gone=gone)
        if gone:
            self._account.all_gone()
        self.reason, self.remedy = reason, remedy
        self._enter(state)
        self._chooser.close()
        self._hold.close()
        try:
            self._flush()
        except RefusedError as error:
            self.reason = f"{reason}; {error.message}" if state is not JobState.DONE else error.message
        if self._record is not None:
            self._record.unlock()
        pid = self.plan.process.pid
        return [JobEnded(self.number, pid, self._backend.clock.now_ns(), self.reason, self._account.ledger.outcomes)]

    def _flush(self) -> None:
        if self._record is not None:
            counters = self._backend.node_counters() if self.state.ended else None
            self._record.flush(self.state.value, self.reason, self._account.ledger.outcomes, counters)
