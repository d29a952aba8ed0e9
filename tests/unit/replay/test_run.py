"""A profile over several processes: one that cannot be moved leaves the others, and the report says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Flag
from numamig.backends.simulator.process import Caller
from numamig.errors import JournalError, RefusedError, TargetGone
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobState
from numamig.model.events import Event, JobEnded
from numamig.model.outcome import Outcome
from numamig.replay.report import Report
from numamig.replay.run import plan_profile, run_profile
from numamig.replay.schema import Profile
from numamig.yamlfile import parse_yaml
from tests.machines import PID, add_process, machine, pages_by_node

ALL = "{name: workload, which: all}"


def profile(who: str, *more: str) -> bytes:
    steps = [f"  - migrate: {{process: {who}, to: 1}}", *(f"  - {step}" for step in more)]
    return "\n".join(["numamig: 1", "steps:", *steps, ""]).encode()


def replay(backend: SimulatorBackend, text: bytes, **how: object) -> Report:
    document = parse_yaml("profile.yaml", text)
    return run_profile(backend, document.validate(Profile), document, **how)  # type: ignore[arg-type]


def ends(backend: SimulatorBackend, pid: int) -> Callable[[Job, Event], None]:
    """A process ends as soon as a job has."""

    def observe(_job: Job, event: Event) -> None:
        if isinstance(event, JobEnded) and pid in backend.machine.processes:
            backend.machine.end(pid)

    return observe


def refuse(pid: int) -> Callable[[Plan], None]:
    def approve(plan: Plan) -> None:
        if plan.process.pid == pid:
            raise RefusedError("not this one", pid=pid)

    return approve


def pids(report: Report, step: int = 0) -> list[tuple[object, bool]]:
    """Processes of a step, and whether each was moved."""
    entries = report.steps[step]["migrate"]
    assert isinstance(entries, list)
    return [(entry["pid"], "error" not in entry) for entry in entries]


def test_one_that_ended_leaves_the_others_and_the_steps_after_it() -> None:
    backend = machine()
    first, _, third = (add_process(backend, [0] * 100, pid=pid)[0] for pid in (10, 20, 30))
    report = replay(backend, profile(ALL, 'expect: {moved: "== 200"}'), observe=ends(backend, 20))
    assert pids(report) == [(10, True), (20, False), (30, True)]
    assert pages_by_node(first, third) == {1: 200}
    assert report.steps[1]["expect"] == [{"what": "moved", "expected": "== 200", "actual": "200", "holds": True}]
    assert [type(failure) for failure in report.failures] == [TargetGone]
    assert (report.error, report.passed) == (None, False)


def test_one_that_is_refused_leaves_the_others() -> None:
    backend = machine()
    backings = [add_process(backend, [0] * 100, pid=pid)[0] for pid in (10, 20, 30)]
    report = replay(backend, profile(ALL), approve=refuse(10))
    assert pids(report) == [(10, False), (20, True), (30, True)]
    assert [pages_by_node(backing) for backing in backings] == [{0: 100}, {1: 100}, {1: 100}]
    assert report.steps[0]["migrate"][0] == {"pid": 10, "name": "workload", "error": "not this one"}  # type: ignore[index]
    assert sorted(report.placement) == [20, 30]


def test_who_was_asked_for_by_pid_ends_the_run_and_what_was_done_is_told() -> None:
    backend = machine()
    backings = [add_process(backend, [0] * 100, pid=pid)[0] for pid in (10, 20, 30)]
    more = ("migrate: {process: {pid: 20}, to: 1}", "migrate: {process: {pid: 30}, to: 1}")
    report = replay(backend, profile("{pid: 10}", *more), approve=refuse(20))
    assert pids(report) == [(10, True)]
    assert report.steps[1:] == [{"migrate": [], "error": "not this one"}]
    assert isinstance(report.error, RefusedError) and not report.passed
    assert [pages_by_node(backing) for backing in backings] == [{1: 100}, {0: 100}, {0: 100}]


def test_when_the_journal_fails_nothing_further_is_tried_and_the_jobs_before_are_told() -> None:
    class Full(Recorder):
        def begin(self, plan, undoes=None):  # type: ignore[no-untyped-def]
            if plan.process.pid == 20:
                raise JournalError("no space left")
            return super().begin(plan)

    backend = machine()
    backings = [add_process(backend, [0] * 100, pid=pid)[0] for pid in (10, 20, 30)]
    recorder = Full.open(backend)
    report = replay(backend, profile(ALL), recorder=recorder)
    assert pids(report) == [(10, True)]
    assert report.steps[0]["error"] == "no space left"
    assert [pages_by_node(backing) for backing in backings] == [{1: 100}, {0: 100}, {0: 100}]
    assert report.outcomes[Outcome.MOVED] == 100


def test_all_ended_before_a_step_and_the_next_one_is_done() -> None:
    backend = machine()
    add_process(backend, [0] * 100, pid=10)
    (other,) = add_process(backend, [0] * 100, pid=20, user="eve")
    text = profile("{pid: 10}", f"migrate: {{process: {ALL[:-1]}, user: root}}, to: 2}}",
                   "migrate: {process: {user: eve}, to: 1}")  # fmt: skip
    backend.machine.processes[10].user = "root"
    report = replay(backend, text, observe=ends(backend, 10))
    assert report.steps[1]["migrate"] == [{"error": "no process has name workload, user root"}]
    assert pages_by_node(other) == {1: 100}


def test_nothing_is_begun_that_is_not_wanted_any_more() -> None:
    backend = machine()
    for pid in (10, 20):
        add_process(backend, [0] * 100, pid=pid)
    ended: list[Event] = []

    def observe(_job: Job, event: Event) -> None:
        ended.extend([event] if isinstance(event, JobEnded) else [])

    report = replay(backend, profile(ALL), observe=observe, wanted=lambda: not ended)
    assert pids(report) == [(10, True)]
    assert report.interrupted


def test_a_plan_leaves_out_whom_the_run_would() -> None:
    backend = machine(caller=Caller("ada", sys_nice=False, sys_ptrace=False, sys_admin=False))
    add_process(backend, [0] * 100, pid=10)  # root's
    add_process(backend, [0] * 100, pid=20, user="ada")
    document = parse_yaml("profile.yaml", profile(ALL))
    left_out: list[object] = []
    plans = plan_profile(backend, document.validate(Profile), document, left_out.append)
    assert [plan.process.pid for plan in plans] == [20]
    assert [type(error) for error in left_out] == [RefusedError]
    report = replay(backend, profile(ALL))
    assert pids(report) == [(10, False), (20, True)]
    backend.machine.end(20)
    with pytest.raises(RefusedError):
        plan_profile(backend, document.validate(Profile), document)


@pytest.mark.parametrize(("limits", "busy"), [("{busy: 20%}", 5000), ("{busy: none}", 20_000)])
def test_a_job_stops_at_the_limit_that_the_profile_names(limits: str, busy: int) -> None:
    backend = machine()
    add_process(backend, [0] * 20_000, flags=dict.fromkeys(range(20_000), Flag.PINNED))
    text = f"numamig: 1\nsteps:\n  - migrate: {{process: {{pid: {PID}}}, to: 1, limits: {limits}}}\n"
    report = replay(backend, text.encode())
    (job,) = report.jobs
    assert (job.state is JobState.STOPPED) is (busy < 20_000)
    assert abs(job.outcomes[Outcome.BUSY] - busy) < 512
