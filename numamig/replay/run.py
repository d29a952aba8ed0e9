"""Running a profile: everything is checked first, then its steps are done in order, and all of it is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from numamig.backends.base import Backend
from numamig.errors import JournalError, NumamigError, RefusedError, TargetGone
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder, running
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.run import nap, run_job
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.events import Event
from numamig.model.process import Process
from numamig.replay.report import Report, judge, placement_of
from numamig.replay.schema import Expect, Migrate, Profile, Step
from numamig.replay.select import check_profile, demand_rights, find_processes, request_for
from numamig.yamlfile import Document, read_yaml

__all__ = ["Approve", "Observer", "load_profile", "plan_profile", "run_profile"]

Observer = Callable[[Job, Event], None]
Approve = Callable[[Plan], None]
"""Is shown a plan before anything of it moves; raises RefusedError where it had better not."""


def load_profile(path: str) -> tuple[Profile, Document]:
    """
    :raises FileError: it cannot be read, or is wrong; with every fault and its line.
    """
    document = read_yaml(path)
    return document.validate(Profile), document


def run_profile(
    backend: Backend,
    profile: Profile,
    document: Document,
    observe: Observer = lambda _job, _event: None,
    wanted: Callable[[], bool] = lambda: True,
    recorder: Recorder | None = None,
    approve: Approve = Plan.demand_possible,
) -> Report:
    """Do what a profile says. Nothing moves unless all of it can be understood on this machine.

    :param wanted: asked between steps and jobs; from its first no on, nothing further is done
    :param recorder: None: the journal of this machine
    :param approve: of each job in its turn, since earlier ones decide what it will find; errors are never passed

    :raises FileError: a node or a process that it names does not exist here.
    :raises RefusedError: the rights do not suffice.
    """
    check_profile(backend, profile, document)
    capabilities = backend.capabilities
    report = Report(
        profile.title, {"backend": backend.name, "machine": capabilities.machine, "kernel": capabilities.kernel}
    )
    run = _Run(backend, report, observe, wanted, recorder or Recorder.open(backend), approve)
    for step in profile.steps:
        if not wanted():
            break
        said: dict[str, object] = {}
        report.steps.append(said)
        try:
            run.do(step, said)
        except NumamigError as error:
            # What moved until now stays moved and must be reported; what was checked before has changed since.
            said["error"] = str(error)
            report.error = error
            break
    report.interrupted = not wanted()
    touched = run.touched.items()
    report.placement = {pid: where for pid, p in touched if (where := placement_of(backend, p)) is not None}
    return report


def plan_profile(
    backend: Backend,
    profile: Profile,
    document: Document,
    leave_out: Callable[[NumamigError], None] = lambda _error: None,
) -> list[Plan]:
    """A plan for each process that each step moves, as things are now; nothing moves.

    :param leave_out: hears why one of ``which: all`` cannot be planned; the others are

    :raises FileError: a node or a process that it names does not exist here.
    :raises RefusedError: the rights do not suffice.
    """
    check_profile(backend, profile, document)
    plans = []
    for step in profile.steps:
        if step.migrate is None:
            continue
        for process in find_processes(backend, step.migrate.process):
            try:
                demand_rights(backend, step.migrate, process)
                plans.append(plan_request(backend, request_for(backend, step.migrate, process)))
            except (RefusedError, TargetGone) as error:
                if step.migrate.process.which != "all":
                    raise
                leave_out(error)
    return plans


@dataclass(slots=True)
class _Run:
    """One run of a profile."""

    backend: Backend
    report: Report
    observe: Observer
    wanted: Callable[[], bool]
    recorder: Recorder
    approve: Approve
    touched: dict[int, Process] = field(default_factory=dict)
    """Processes of which a job was begun, by pid."""

    def do(self, step: Step, said: dict[str, object]) -> None:
        """One step.

        :param said: what the report says of it: filled as it gets on, so that what was done is there if it fails
        """
        if step.wait is not None:
            nap(self.backend.clock, step.wait, self.wanted)
            said["wait"] = step.wait / 1e9
        elif step.migrate is not None:
            jobs: list[dict[str, object]] = []
            said["migrate"] = jobs
            self._migrate(step.migrate, jobs)
        else:
            said["expect"] = judge(self.backend, step.expect or Expect(), self.report, self.touched)

    def _migrate(self, migrate: Migrate, jobs: list[dict[str, object]]) -> None:
        every = migrate.process.which == "all"
        try:
            found = find_processes(self.backend, migrate.process)
        except TargetGone as error:
            if not every:
                raise
            self._fail(error, {}, jobs)
            return
        for process in found:
            if not self.wanted():
                return
            try:
                jobs.append(self._move(migrate, process).as_dict())
            except JournalError:
                raise  # of no use to try others: they cannot be written down either
            except (RefusedError, TargetGone) as error:
                if not every:
                    raise
                self._fail(error, {"pid": process.pid, "name": process.name}, jobs)

    def _fail(self, error: NumamigError, who: dict[str, object], jobs: list[dict[str, object]]) -> None:
        """One of several could not be moved; the others can."""
        jobs.append({**who, "error": str(error)})
        self.report.failures.append(error)

    def _move(self, migrate: Migrate, process: Process) -> JobSnapshot:
        """
        :raises RefusedError: something speaks against it.
        :raises TargetGone: the process ended.
        """
        demand_rights(self.backend, migrate, process)
        plan = plan_request(self.backend, request_for(self.backend, migrate, process))
        self.approve(plan)
        plan.demand_possible()
        record = self.recorder.begin(plan)
        job = Job(record.number, self.backend, plan, record, limits=migrate.limits.settings())
        record.act(running(plan))
        self.touched[process.pid] = process
        for event in run_job(job, self.backend, self.wanted):
            self.observe(job, event)
        job.cancel()  # ended already, unless it was not wanted any more
        done = job.snapshot()
        self.report.jobs.append(done)
        return done
