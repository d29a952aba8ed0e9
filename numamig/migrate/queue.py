"""Many jobs over many processes: in which order, how many at the same time, and what is asked of each."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

from numamig.backends.base import Backend
from numamig.errors import UsageError
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.destination import Destination
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord, Recorder, running
from numamig.migrate.ledger import LedgerRow
from numamig.migrate.moved import verify_ended
from numamig.migrate.plan import Plan
from numamig.migrate.preflight import demand_node
from numamig.migrate.ranges import overlap
from numamig.migrate.resume import plan_to_go_on
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.migrate.stayed import StayedSeen, seen_of
from numamig.migrate.stream import EventStream
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.events import Event, JobAdded, JobAsked, JobEnded, JobFailed, JobVerified
from numamig.model.outcome import Outcome
from numamig.observe.verify import Verified
from numamig.units import format_duration, format_rate

__all__ = ["JobQueue", "jobs_at_once"]

_HANGS_NS = 5_000_000_000
"""A call that takes longer hangs: nothing further is begun until it is back."""


def jobs_at_once(backend: Backend) -> int:
    """How many jobs are stepped at the same time where nobody says otherwise.

    Two on two CPUs are 1.4 to 1.5 times as fast as one after the other (benchmarks/at_once.py, docs/performance.md);
    more than two were not measured.
    """
    return 1 if backend.capabilities.virtual_time else min(2, len(os.sched_getaffinity(0)))


@dataclass(slots=True)
class _Entry:
    job: Job
    record: JobRecord
    priority: int
    cancelled: bool = False
    stepping: threading.Lock = field(default_factory=threading.Lock)


class JobQueue:
    """Safe to ask and to steer from any thread. Jobs of one process never step at once where their memory overlaps."""

    def __init__(
        self,
        backend: Backend,
        recorder: Recorder | None = None,
        at_once: int | None = None,
        *,
        verifies: bool = True,
    ) -> None:
        """
        :param recorder: None: the journal of this machine, opened when the first job needs it
        :param at_once: how many jobs are stepped at the same time; None: what was measured to be good
        :param verifies: when a job has ended look whether what it moved is where it was moved to; no part of the job
        """
        self._backend = backend
        self._recorder = recorder
        self.at_once = jobs_at_once(backend) if at_once is None else at_once
        self._verifies = verifies
        self._verified: dict[int, Verified] = {}
        self._entries: dict[int, _Entry] = {}
        self._order: list[int] = []
        self._claimed: set[int] = set()
        self.stream = EventStream()
        """Everything that happens to any job, in order."""
        self._lock = threading.RLock()
        self._opening = threading.Lock()

    @property
    def recorder(self) -> Recorder:
        """
        :raises JournalError: there can be no journal, and so there can be no job.
        """
        with self._opening:  # not the lock of those who only look: to open a journal may take its time
            if self._recorder is None:
                self._recorder = Recorder.open(self._backend)
            return self._recorder

    def add(self, plan: Plan, *, chooses: ChoosesFor = choose_by_plan, priority: int = 0) -> int:
        """A new job, held; its number.

        :raises JournalError: it could not be written down.
        """
        return self._enter(plan, self.recorder.begin(plan), chooses, priority)

    def _enter(self, plan: Plan, record: JobRecord, chooses: ChoosesFor, priority: int) -> int:
        job = Job(record.number, self._backend, plan, record, chooses=chooses)
        with self._lock:
            self._entries[job.number] = _Entry(job, record, priority)
            self._order.append(job.number)
        now = self._backend.clock.now_ns()
        self.stream.publish([JobAdded(job.number, plan.process.pid, now, plan.pages, plan.undoes)])
        return job.number

    def add_undo(self, number: int, steps: range | None = None) -> int:
        """A new job, held, that takes another one back, or some steps of it; its number.

        :raises UsageError: there is nothing to take back.
        :raises RefusedError: it is another process by now, or rights are missing.
        :raises TargetGone: the process ended.
        """
        journal = self.recorder.journal
        undoing = Undoing(journal, journal.job(number), steps)
        plan = plan_undo(self._backend, undoing)
        plan.demand_possible()
        return self.add(plan, chooses=choose_to_undo(undoing))

    def add_resume(self, number: int) -> int:
        """Go on with a job that an earlier run left, held as yet; its number, which it keeps.

        :raises UsageError: there is nothing to go on with; or it is here.
        :raises RefusedError: it is another process by now; another numamig is at it; or something speaks against it.
        :raises TargetGone: the process ended.
        """
        with self._lock:
            if number in self._entries:
                raise UsageError(f"job {number} is here already", hint="p runs it")
        plan, record = plan_to_go_on(self._backend, self.recorder, self.recorder.journal.job(number))
        record.unlock()  # as of any job that is held: its first step takes the lock again
        plan.demand_possible()
        return self._enter(plan, record, choose_by_plan, 0)

    def snapshots(self) -> tuple[JobSnapshot, ...]:
        """Every job, in order. Waits for no step: what a step in progress has booked is shown as it is."""
        with self._lock:
            jobs = [self._entries[number].job for number in self._order]
        return tuple(job.snapshot() for job in jobs)

    def snapshot(self, number: int) -> JobSnapshot:
        return self._entry(number).job.snapshot()

    def ledger(self, number: int) -> list[LedgerRow]:
        """What became of a job's pages, by region, source and target."""
        return self._entry(number).job.ledger()

    def stayed(self, identity: tuple[int, int]) -> StayedSeen | None:
        """What the jobs here left behind of a process, and why, the latest job last; None where nothing stayed."""
        with self._lock:
            jobs = [entry.job for _, entry in sorted(self._entries.items())]
        return seen_of([(job.number, job.stayed()) for job in jobs if job.plan.process.identity == identity])

    def verified(self, number: int) -> Verified | None:
        """Where what an ended job moved was found; None where it moved nothing, or could not be seen any more."""
        self._entry(number)
        return self._verified.get(number)

    def run(self, number: int) -> None:
        """Let a held job run.

        :raises JournalError: it could not be written down, and is not done.
        """
        entry = self._entry(number)
        if entry.job.state is JobState.HELD:
            self._asked(entry, running(entry.job.plan))
            entry.job.run()

    def hold(self, number: int) -> None:
        """Pause a job after the step it is in."""
        entry = self._entry(number)
        if entry.job.state is JobState.RUNNING:
            entry.job.hold()
            self._asked(entry, "hold")

    def cancel(self, number: int) -> None:
        """End a job after the step it is in."""
        entry = self._entry(number)
        with self._lock:
            wanted = not entry.job.state.ended
            entry.cancelled |= wanted
        if wanted:
            self._asked(entry, "cancel")

    def set_batch(self, number: int, pages: int) -> None:
        """Base pages of the job's next batch.

        :raises JournalError: it could not be written down, and is not done; so it is with the others.
        """
        pages = max(1, pages)
        self._steer(number, f"batch {pages}", batch_pages=pages)

    def set_budget(self, number: int, budget_ns: int | None) -> None:
        """Wanted duration of a call; None: the size of batches is as it was set."""
        if budget_ns != self._entry(number).job.pacer.budget_ns:
            said = "no budget" if budget_ns is None else f"budget {format_duration(budget_ns)}"
            self._steer(number, said, budget_ns=budget_ns)

    def set_rate(self, number: int, rate: int | None) -> None:
        """Bytes per second, at most."""
        if rate != self._entry(number).job.pacer.rate:
            self._steer(number, "no rate" if rate is None else f"rate {format_rate(rate)}", rate=rate)

    def _steer(self, number: int, what: str, **wanted: int | None) -> None:
        entry = self._entry(number)
        if not entry.job.state.ended:
            entry.job.steer(what, **wanted)
            self._tell(entry, what)

    def prioritise(self, number: int, priority: int) -> None:
        """Jobs of a higher priority are stepped first, whatever their place."""
        entry = self._entry(number)
        entry.priority = priority
        self._asked(entry, f"priority {priority}")

    def shift(self, number: int, places: int) -> None:
        """Further to the front (negative) or to the back."""
        entry = self._entry(number)
        with self._lock:
            place = self._order.index(number)
            self._order.remove(number)
            self._order.insert(max(0, min(len(self._order), place + places)), number)
        self._asked(entry, f"shift {places:+d}")

    def retarget(self, number: int, to: Destination) -> None:
        """What has had no turn yet goes elsewhere.

        :raises UsageError: a node does not exist, or the job takes another one back.
        :raises RefusedError: preflight says no.
        :raises JournalError: it could not be written down, and is not done.
        """
        entry = self._entry(number)
        if entry.job.plan.undoes is not None:
            raise UsageError(f"job {number} puts pages back where they were", hint="cancel it, and move them")
        for node in to.nodes:
            demand_node(self._backend, node)
        what = f"retarget {to.words}"
        if entry.job.retarget(to, what):
            self._tell(entry, what)

    def next_running(self) -> int | None:
        """The first job that wants a step and may have one: running, or to be cancelled."""
        with self._lock:
            if len(self._claimed) >= self.at_once or self._hangs():
                return None
            ready = [n for n in self._order if n not in self._claimed and self._wants_step(n)]
            ready.sort(key=lambda n: -self._entries[n].priority)
            return next((number for number in ready if not self._disturbs(number)), None)

    def claim(self) -> int | None:
        """``next_running``, and nobody else gets it until ``step`` is through with it."""
        with self._lock:
            number = self.next_running()
            if number is not None:
                self._claimed.add(number)
            return number

    def release(self, number: int) -> None:
        """Others may have it again."""
        with self._lock:
            self._claimed.discard(number)

    def step(self, number: int) -> list[Event]:
        """One step of a job, or its cancellation where that was asked for."""
        entry = self._entry(number)
        with entry.stepping:
            with self._lock:
                cancelled, entry.cancelled = entry.cancelled, False
                alone = number not in self._claimed and entry.job.state is JobState.HELD and not cancelled
                self._claimed.add(number)
            try:
                if alone:  # and not because it runs: somebody asked for this one
                    self._asked(entry, "step")
                events = entry.job.cancel() if cancelled else entry.job.step()
            except Exception as error:
                entry.job.hold()
                self.stream.publish([JobFailed(number, self._backend.clock.now_ns(), str(error) or repr(error))])
                raise
            finally:
                self.release(number)
            self.stream.publish(events)
        # The job is through, and others have their turn meanwhile: there is nothing of it to wait for.
        if self._verifies and any(isinstance(event, JobEnded) for event in events):
            return [*events, *self._verify(entry)]
        return events

    def _verify(self, entry: _Entry) -> list[Event]:
        number, job = entry.job.number, entry.job.snapshot()
        if not job.outcomes[Outcome.MOVED] or job.outcomes[Outcome.GONE]:
            return []
        seen = verify_ended(self._backend, job.plan.process, entry.record.journal, number)
        if seen is None:
            return []
        self._verified[number] = seen
        now = self._backend.clock.now_ns()
        told = [JobVerified(number, now, seen.expected, seen.in_place, seen.elsewhere)]
        self.stream.publish(told)
        return [*told]

    def waited(self, number: int, duration_ns: int) -> None:
        """A gap has passed for a job."""
        self._entry(number).job.waited(duration_ns)

    def _asked(self, entry: _Entry, what: str) -> None:
        self._tell(entry, what)
        entry.record.act(what)

    def _tell(self, entry: _Entry, what: str) -> None:
        self.stream.publish([JobAsked(entry.job.number, self._backend.clock.now_ns(), what)])

    def _wants_step(self, number: int) -> bool:
        entry = self._entries[number]
        return entry.cancelled or entry.job.state is JobState.RUNNING

    def _disturbs(self, number: int) -> bool:
        """Whether it would move what a job that is being stepped moves."""
        mine = self._entries[number].job.plan
        for other in self._claimed:
            theirs = self._entries[other].job.plan
            if theirs.process.identity == mine.process.identity and overlap(mine.ranges, theirs.ranges):
                return True
        return False

    def _hangs(self) -> bool:
        """Whether a call does not come back from the kernel."""
        now = self._backend.clock.now_ns()
        since = [self._entries[number].job.call_since_ns for number in self._claimed]
        return any(began is not None and now - began > _HANGS_NS for began in since)

    def _entry(self, number: int) -> _Entry:
        with self._lock:
            if number not in self._entries:
                known = ", ".join(map(str, self._order[-5:]))
                raise UsageError(f"there is no job {number}", hint=f"jobs: {known}" if known else None)
            return self._entries[number]
