"""Running a profile: everything is checked first, then its steps are done in order, and all of it is accounted for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from numamig.backends.base import Backend
from numamig.errors import FileError, NumamigError, TargetGone, UsageError
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.preflight import demand_node, demand_process, demand_shared
from numamig.migrate.request import Request, Retry
from numamig.migrate.run import nap, run_job
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.events import Event
from numamig.model.nodeset import parse_nodeset
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process
from numamig.observe.placement import Placement, count_ranges, movable
from numamig.replay.schema import Expect, Migrate, ProcessSelector, Profile, Step
from numamig.yamlfile import Document, read_yaml

__all__ = ["Report", "load_profile", "plan_profile", "run_profile"]

Observer = Callable[[Job, Event], None]


@dataclass(slots=True)
class Report:
    """What a run came to."""

    title: str
    machine: dict[str, object]
    steps: list[dict[str, object]] = field(default_factory=list)
    jobs: list[JobSnapshot] = field(default_factory=list)
    placement: dict[int, Placement] = field(default_factory=dict)
    """pid → where its memory is at the end."""
    expectations: int = 0
    failed: int = 0
    """Expectations that did not hold."""
    error: NumamigError | None = None
    """What ended the run early, after it had begun."""
    interrupted: bool = False
    """Not all steps were done, because that was not wanted any more."""

    @property
    def outcomes(self) -> OutcomeCounts:
        return sum((job.outcomes for job in self.jobs), OutcomeCounts())

    @property
    def passed(self) -> bool:
        """The profile's own expectations decide; without any, whether every chosen page is where it should be."""
        if self.interrupted or self.error is not None:
            return False
        if self.expectations:
            return not self.failed
        there = self.outcomes[Outcome.MOVED] + self.outcomes[Outcome.ALREADY_THERE]
        return there == self.outcomes.total

    def as_dict(self) -> dict[str, object]:
        return {
            "title": self.title,
            **self.machine,
            "passed": self.passed,
            "chosen": sum(job.chosen for job in self.jobs),
            "outcomes": self.outcomes.as_dict(),
            "seconds": round(sum(job.busy_ns for job in self.jobs) / 1e9, 9),
            "steps": self.steps,
            "placement": {
                str(pid): {
                    "unknown" if n == UNKNOWN_NODE else str(n): b for n, b in sorted(where.bytes_by_node.items())
                }
                for pid, where in sorted(self.placement.items())
            },
        }


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
) -> Report:
    """Do what a profile says. Nothing moves unless all of it can be understood on this machine.

    :param wanted: asked between steps; from its first no on, nothing further is done
    :param recorder: None: the journal of this machine

    :raises FileError: a node or a process that it names does not exist here.
    :raises RefusedError: the rights do not suffice.
    """
    _check(backend, profile, document)
    capabilities = backend.capabilities
    report = Report(
        profile.title, {"backend": backend.name, "machine": capabilities.machine, "kernel": capabilities.kernel}
    )
    touched: dict[int, Process] = {}
    recorder = recorder or Recorder.open(backend)
    for step in profile.steps:
        if not wanted():
            break
        try:
            report.steps.append(_do(backend, step, report, touched, observe, wanted, recorder))
        except NumamigError as error:
            # What moved until now stays moved and must be reported; what was checked before has changed since.
            report.steps.append({"error": str(error)})
            report.error = error
            break
    report.interrupted = not wanted()
    report.placement = {pid: where for pid, p in touched.items() if (where := _placement(backend, p)) is not None}
    return report


def plan_profile(backend: Backend, profile: Profile, document: Document) -> list[Plan]:
    """A plan for each process that each step moves, as things are now; nothing moves.

    :raises FileError: a node or a process that it names does not exist here.
    :raises RefusedError: the rights do not suffice.
    """
    _check(backend, profile, document)
    return [
        plan_request(backend, _request(backend, step.migrate, process))
        for step in profile.steps
        if step.migrate is not None
        for process in find_processes(backend, step.migrate.process)
    ]


def _do(
    backend: Backend,
    step: Step,
    report: Report,
    touched: dict[int, Process],
    observe: Observer,
    wanted: Callable[[], bool],
    recorder: Recorder,
) -> dict[str, object]:
    """One step; what the report says of it."""
    if step.wait is not None:
        nap(backend.clock, step.wait, wanted)
        return {"wait": step.wait / 1e9}
    if step.migrate is None:
        return {"expect": _judge(backend, step.expect or Expect(), report, touched)}
    snapshots = []
    for process in find_processes(backend, step.migrate.process):
        plan = plan_request(backend, _request(backend, step.migrate, process))
        plan.demand_possible()
        record = recorder.begin(plan)
        job = Job(record.number, backend, plan, record)
        record.act("run")
        touched[process.pid] = process
        for event in run_job(job, backend, wanted):
            observe(job, event)
        job.cancel()  # ended already, unless it was not wanted any more
        snapshots.append(job.snapshot())
        report.jobs.append(snapshots[-1])
    return {"migrate": [snapshot.as_dict() for snapshot in snapshots]}


def find_processes(backend: Backend, selector: ProcessSelector) -> list[Process]:
    """The processes that a selector means, ascending by pid.

    :raises UsageError: none fits, or several where one is meant.
    """
    candidates = backend.processes() if selector.pid is None else [backend.process(selector.pid)]
    found = [process for process in candidates if not process.zombie and _fits(process, selector)]
    said = ", ".join(
        f"{key} {value}" for key, value in selector.model_dump(exclude_none=True, exclude={"which"}).items()
    )
    if not found:
        raise UsageError(f"no process has {said}")
    if selector.which == "largest":
        return [max(found, key=lambda process: (process.resident_bytes, -process.pid))]
    if selector.which == "only" and len(found) > 1:
        pids = ", ".join(str(process.pid) for process in found[:5])
        raise UsageError(f"{len(found)} processes have {said} ({pids})", hint="add which: largest or which: all")
    return found


def _fits(process: Process, selector: ProcessSelector) -> bool:
    return (
        (selector.name is None or process.name == selector.name)
        and (selector.user is None or process.user == selector.user)
        and (selector.cmdline is None or re.search(selector.cmdline, " ".join(process.cmdline)) is not None)
    )


def _check(backend: Backend, profile: Profile, document: Document) -> None:
    """Every node and every process that the profile names, all faults at once."""
    faults: list[tuple[int, str]] = []
    for number, step in enumerate(profile.steps):
        if step.migrate is None:
            continue
        checks: list[tuple[tuple[str, ...], Callable[[], object]]] = [
            (("to",), partial(demand_node, backend, step.migrate.to)),
            (("pages", "from"), partial(_sources, backend, step.migrate)),
            (("process",), partial(_check_processes, backend, step.migrate)),
        ]
        for place, check in checks:
            try:
                check()
            except (UsageError, TargetGone) as error:
                faults.append((document.line(("steps", number, "migrate", *place)), str(error)))
    if faults:
        raise FileError(document.path, faults)


def _sources(backend: Backend, migrate: Migrate) -> tuple[int, ...] | None:
    if migrate.pages.from_ is None:
        return None
    sources = parse_nodeset(migrate.pages.from_, backend.topology().memory_nodes)
    if set(sources) <= {migrate.to}:
        raise UsageError(f"from and to are the same node {migrate.to}", hint="name another node")
    return sources


def _check_processes(backend: Backend, migrate: Migrate) -> None:
    """That the selector finds something, and that its pages may be moved as asked.

    :raises RefusedError: they may not.
    """
    for process in find_processes(backend, migrate.process):
        demand_process(backend, process.pid)
        if migrate.shared:
            demand_shared(backend, process.pid)


def _request(backend: Backend, migrate: Migrate, process: Process) -> Request:
    within = None
    if migrate.pages.at_least:
        large = [r for r in backend.regions(process.pid) if r.size_bytes >= migrate.pages.at_least]
        within = [(region.start, region.end) for region in large]
    return Request(
        pid=process.pid,
        target=migrate.to,
        sources=_sources(backend, migrate),
        kinds=frozenset(migrate.pages.kind),
        within=within,
        shared=migrate.shared,
        batch_pages=migrate.batch.pages,
        threads=migrate.batch.threads,
        budget_ns=migrate.batch.budget,
        rate=migrate.batch.rate,
        retry=Retry(migrate.retry.mode, migrate.retry.passes, deadline_ns=migrate.retry.deadline),
        most_calls=migrate.batch.calls or None,
        reserve_bytes=migrate.batch.reserve,
        critical=migrate.critical,
    )


def _judge(backend: Backend, expect: Expect, report: Report, touched: dict[int, Process]) -> list[dict[str, object]]:
    outcomes = report.outcomes
    judged: list[dict[str, object]] = []
    for name, bound in expect.bounds().items():
        if name == "remote":
            part, whole = _remote(backend, touched)
        else:
            part, whole = outcomes[Outcome[name.upper()]], outcomes.total
        holds = bound.holds(part, whole)
        report.expectations += 1
        report.failed += not holds
        actual = f"{100 * part / whole if whole else 0:.2f}%" if bound.in_percent else f"{part}"
        judged.append({"what": name, "expected": bound.text, "actual": actual, "holds": holds})
    return judged


def _remote(backend: Backend, touched: dict[int, Process]) -> tuple[int, int]:
    """Bytes that are not where their process runs, and bytes in all, of the processes that were migrated."""
    remote = total = 0
    for process in touched.values():
        where = _placement(backend, process)
        if where is not None:
            remote += where.remote_bytes(process.cpu_nodes) or 0
            total += where.total_bytes
    return remote, total


def _placement(backend: Backend, process: Process) -> Placement | None:
    """Counted, not estimated; None when the process is gone."""
    try:
        return Placement(count_ranges(backend, process.pid, movable(backend.regions(process.pid))))
    except TargetGone:
        return None
