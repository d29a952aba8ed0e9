"""Doing the steps of a profile one after the other, blocks of steps among them, and writing down what comes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numamig.backends.base import Backend
from numamig.errors import JournalError, NumamigError, RefusedError, TargetGone
from numamig.migrate.breaker import Limits
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord, Recorder, running
from numamig.migrate.moved import verify_moved
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.run import nap, run_job
from numamig.migrate.undo import Undoing, can_be_taken_back, choose_to_undo, plan_undo
from numamig.model.events import Event
from numamig.model.outcome import Outcome
from numamig.model.process import Process
from numamig.observe.verify import Verified
from numamig.replay.report import Done, Report, judge, verified_words
from numamig.replay.schema import Expect, ForEach, Migrate, Step, Undo, UndoStep, Wait
from numamig.replay.select import demand_rights, find_processes, request_for
from numamig.units import format_bytes, format_duration

__all__ = ["Approve", "Carry", "Observer", "Run"]

Observer = Callable[[Job, Event], None]
Approve = Callable[[Plan], None]
"""Is shown a plan before anything of it moves; raises RefusedError where it had better not."""
Carry = Callable[[Job, JobRecord], None]
"""Runs a job to its end, or until that is not wanted any more."""
_Said = dict[str, object]


@dataclass(slots=True)
class Run:
    """One run of a profile."""

    backend: Backend
    report: Report
    observe: Observer
    wanted: Callable[[], bool]
    recorder: Recorder
    approve: Approve
    say: Callable[[str], None]
    carry: Carry | None
    touched: dict[int, Process] = field(default_factory=dict)
    """Processes of which a job was begun, by pid."""

    def steps(self, steps: Sequence[Step], said: list[_Said], process: Process | None) -> None:
        """Steps in order, for as long as that is wanted.

        :param said: what the report says of each: filled as they get on, so that what was done is there if one fails
        :param process: that they are done for, inside of for_each
        """
        done: list[range] = []
        for step in steps:
            if not self.wanted():
                return
            of_step: _Said = {}
            said.append(of_step)
            first = len(self.report.done)
            try:
                self._do(step, of_step, process, done)
            except NumamigError as error:
                of_step.setdefault("error", str(error))
                raise
            done.append(range(first, len(self.report.done)))

    def _do(self, step: Step, said: _Said, process: Process | None, done: Sequence[range]) -> None:
        if step.wait is not None:
            said["wait"] = self._wait(step.wait)
        elif step.migrate is not None:
            jobs: list[_Said] = []
            said["migrate"] = jobs
            self._migrate(step.migrate, jobs, process)
        elif step.for_each is not None:
            blocks: list[_Said] = []
            said["for_each"] = blocks
            self._for_each(step.for_each, blocks)
        elif step.repeat is not None:
            turns: list[list[_Said]] = []
            said["repeat"] = turns
            for _ in range(step.repeat.times):
                if not self.wanted():
                    return
                turns.append([])
                self.steps(step.repeat.steps, turns[-1], process)
        elif step.include is not None:
            inner: list[_Said] = []
            said["include"] = {"file": step.include.file, "steps": inner}
            self.steps(step.include.steps, inner, process)
        elif step.undo is not None:
            undone: list[_Said] = []
            said["undo"] = undone
            self._undo(step.undo, undone, process, done)
        else:
            said["expect"] = judge(self.backend, step.expect or Expect(), self.report, self.touched, process)

    def _wait(self, wait: Wait) -> float:
        """Seconds that it took.

        :raises RefusedError: what was waited for did not come.
        """
        clock = self.backend.clock
        if wait.for_ is not None:
            self.say(f"wait {format_duration(wait.for_)}")
            nap(clock, wait.for_, self.wanted)
            return wait.for_ / 1e9
        assert wait.until is not None
        words = ", ".join(f"{format_bytes(size)} free on node {node}" for node, size in sorted(wait.until.free.items()))
        self.say(f"wait until {words}")
        began = clock.now_ns()
        while self.wanted():
            free = self.backend.node_counters().free_bytes
            waited = clock.now_ns() - began
            if all(free.get(node, 0) >= size for node, size in wait.until.free.items()):
                return round(waited / 1e9, 9)
            if waited >= wait.at_most:
                there = ", ".join(
                    f"{format_bytes(free.get(node, 0))} on node {node}" for node in sorted(wait.until.free)
                )
                raise RefusedError(f"waited {format_duration(wait.at_most)} for {words}: there is {there}")
            nap(clock, min(wait.every, wait.at_most - waited), self.wanted)
        return round((clock.now_ns() - began) / 1e9, 9)

    def _for_each(self, block: ForEach, blocks: list[_Said]) -> None:
        try:
            found = find_processes(self.backend, block.process, "all")
        except TargetGone as error:
            self._fail(error, {}, blocks)
            return
        for process in found:
            if not self.wanted():
                return
            inner: list[_Said] = []
            who: _Said = {"pid": process.pid, "name": process.name, "steps": inner}
            blocks.append(who)
            try:
                self.steps(block.steps, inner, process)
            except JournalError:
                raise
            except (RefusedError, TargetGone) as error:
                who["error"] = str(error)
                self.report.failures.append(error)

    def _migrate(self, migrate: Migrate, jobs: list[_Said], process: Process | None) -> None:
        selector = migrate.process
        if selector is None:
            assert process is not None
            jobs.append(self._move(migrate, process))
            return
        every = selector.which == "all"
        try:
            found = find_processes(self.backend, selector)
        except TargetGone as error:
            if not every:
                raise
            self._fail(error, {}, jobs)
            return
        for each in found:
            if not self.wanted():
                return
            try:
                jobs.append(self._move(migrate, each))
            except JournalError:
                raise  # of no use to try others: they cannot be written down either
            except (RefusedError, TargetGone) as error:
                if not every:
                    raise
                self._fail(error, {"pid": each.pid, "name": each.name}, jobs)

    def _fail(self, error: NumamigError, who: _Said, jobs: list[_Said]) -> None:
        """One of several could not be moved; the others can."""
        jobs.append({**who, "error": str(error)})
        self.report.failures.append(error)

    def _move(self, migrate: Migrate, process: Process) -> _Said:
        """
        :raises RefusedError: something speaks against it.
        :raises TargetGone: the process ended.
        """
        demand_rights(self.backend, migrate, process)
        plan = plan_request(self.backend, request_for(self.backend, migrate, process))
        return self._carry_out(plan, migrate.limits.settings(), choose_by_plan, None).as_dict(self.backend)

    def _undo(self, undo: Undo, undone: list[_Said], process: Process | None, done: Sequence[range]) -> None:
        """The last job first, as each may have moved what those before it had."""
        every = self.report.done
        jobs = every if not isinstance(undo, UndoStep) else [every[n] for n in done[undo.step - 1]]
        mine = [job for job in jobs if process is None or job.process.identity == process.identity]
        open_ = [job for job in reversed(mine) if job.undoes is None and not job.undone]
        journal = self.recorder.journal
        for job in open_[:1] if undo == "last" else open_:
            if not self.wanted():
                return
            entry = journal.job(job.record)
            if not can_be_taken_back(journal, entry):
                job.undone = True
                undone.append({"undoes": job.number, "nothing": "it moved no page"})
                continue
            undoing = Undoing(journal, entry)
            try:
                plan = plan_undo(self.backend, undoing)
                self.say(f"undo of job {job.number}")
                back = self._carry_out(plan, job.limits, choose_to_undo(undoing), job.number)
            except JournalError:
                raise
            except (RefusedError, TargetGone) as error:
                if undo == "last":
                    raise
                self._fail(error, {"undoes": job.number, "pid": job.process.pid, "name": job.process.name}, undone)
                continue
            job.undone = True
            undone.append(back.as_dict(self.backend))

    def _carry_out(self, plan: Plan, limits: Limits, chooses: ChoosesFor, undoes: int | None) -> Done:
        """A job from its plan to its account; jobs are numbered within the run.

        :param undoes: number of the job that it takes back
        """
        self.approve(plan)
        plan.demand_possible()
        record = self.recorder.begin(plan)
        number = len(self.report.done) + 1
        job = Job(number, self.backend, plan, record, chooses=chooses, limits=limits)
        record.act(running(plan))
        self.touched[plan.process.pid] = plan.process
        if self.carry is not None:
            self.carry(job, record)
        else:
            for event in run_job(job, self.backend, self.wanted):
                self.observe(job, event)
        job.cancel()  # ended already, unless it was not wanted any more
        done = Done(job.snapshot(), plan.process, record.number, limits, undoes)
        self.report.done.append(done)
        done.verified = self._look_again(done)
        if done.verified is not None:
            self.say(f"job {number}: {verified_words(done.verified)}")
        return done

    def _look_again(self, done: Done) -> Verified | None:
        """Where what was moved is now; None where nothing was, or it can no longer be seen."""
        if not done.job.outcomes[Outcome.MOVED] or done.job.outcomes[Outcome.GONE]:
            return None
        try:
            hold = self.backend.hold(done.process)
            try:
                return verify_moved(self.backend, hold, self.recorder.journal, self.recorder.journal.job(done.record))
            finally:
                hold.close()
        except (TargetGone, RefusedError):
            return None
