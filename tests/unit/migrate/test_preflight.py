"""What stops a job before it starts: rights that are missing, cpusets, and processes better left alone."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.base import MovePagesReturn
from numamig.backends.simulator.process import Caller
from numamig.errors import RefusedError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.preflight import check, demand_process, recheck
from numamig.migrate.preflight.standing import critical, isolated
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.finding import Finding, Severity
from numamig.model.outcome import Outcome
from numamig.model.process import Hazards, Process
from tests.machines import PID, add_process, machine, pages_by_node


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@pytest.mark.parametrize(
    ("allowed", "severity"),
    [(None, Severity.OK), (frozenset({0, 1}), Severity.OK), (frozenset({0, 2}), Severity.ERROR)],
)
def test_a_target_outside_of_the_cpuset_is_an_error(allowed: frozenset[int] | None, severity: Severity) -> None:
    backend = machine()
    add_process(backend, [0] * 10, mems_allowed=allowed)
    _, findings = check(backend, Request(PID, Node(1)))
    found = by_check(findings)["cpuset"]
    assert found.severity is severity
    if severity is Severity.ERROR:
        assert found.remedy == "move to one of nodes 0,2, or add 1 to cpuset.mems of its control group /"
        with pytest.raises(RefusedError, match="allows nodes 0,2 only"):
            plan_request(backend, Request(PID, Node(1))).demand_possible()


def test_the_error_is_no_more_than_what_the_kernel_says() -> None:
    """A job that is begun in spite of it: the whole call is refused, and nothing moves."""
    backend = machine()
    (backing,) = add_process(backend, [0] * 10, mems_allowed=frozenset({0, 2}))
    job = Job(1, backend, plan_request(backend, Request(PID, Node(1))))
    for _ in run_job(job, backend):
        pass
    assert job.snapshot().outcomes[Outcome.REFUSED] == job.snapshot().chosen == 10
    assert pages_by_node(backing) == {0: 10}


def test_a_refusal_says_what_the_backend_knows() -> None:
    backend = machine(caller=Caller("ada", sys_ptrace=False))
    add_process(backend, [0], user="bob")
    with pytest.raises(RefusedError) as caught:
        demand_process(backend, PID)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("the scenario's caller lacks CAP_SYS_PTRACE")
    assert "CAP_SYS_PTRACE" in caught.value.hint


def test_where_move_pages_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = machine()
    add_process(backend, [0])
    monkeypatch.setattr(backend, "move_pages", lambda *_: MovePagesReturn(-1, 38, np.empty(0, np.int32)))
    with pytest.raises(RefusedError, match="not available here") as caught:
        demand_process(backend, PID)
    assert "doctor" in str(caught.value.hint)


INIT = Process(1, 0, "init", "root")


@pytest.mark.parametrize(
    ("hazards", "words"),
    [
        (Hazards(init=True), "what everything else on the machine hangs on"),
        (Hazards(ancestor=True), "its shell, terminal or session"),
        (Hazards(realtime_threads=1), "a real-time thread,"),
        (Hazards(realtime_threads=3), "3 real-time threads"),
        (Hazards(kvm_guest=True), "a virtual machine"),
        (Hazards(devices=("/dev/vfio/12", "/dev/infiniband/uverbs0")), "/dev/vfio/12, /dev/infiniband/uverbs0 open"),
    ],
)
def test_critical_processes_need_a_flag(hazards: Hazards, words: str) -> None:
    (found,) = critical(INIT, hazards, Request(1, Node(0)))
    assert (found.check, found.severity) == ("critical", Severity.ERROR)
    assert words in found.reason
    assert "--critical" in found.remedy
    (accepted,) = critical(INIT, hazards, Request(1, Node(0), critical=True))
    assert (accepted.severity, accepted.reason) == (Severity.WARNING, found.reason)


def test_every_reason_is_told() -> None:
    hazards = Hazards(init=True, ancestor=True, realtime_threads=1, kvm_guest=True, devices=("/dev/vfio/1",))
    assert len(critical(INIT, hazards, Request(1, Node(0)))) == 5


def test_what_is_no_danger_to_the_process_is_not_critical() -> None:
    hazards = Hazards(pinned_bytes=1 << 30, isolated_cpus=(2,))
    assert [found.severity for found in critical(INIT, hazards, Request(1, Node(0)))] == [Severity.OK]


def test_isolated_cpus_are_named() -> None:
    assert isolated(Hazards()) == []
    (found,) = isolated(Hazards(isolated_cpus=(2, 3, 7)))
    assert found.severity is Severity.WARNING
    assert "CPUs 2-3,7 are isolated" in found.reason


def test_init_is_refused_unless_it_is_asked_for() -> None:
    backend = machine()
    add_process(backend, [0] * 10, pid=1)
    with pytest.raises(RefusedError, match="pid 1") as refused:
        plan_request(backend, Request(1, Node(1))).demand_possible()
    assert "--critical" in str(refused.value.hint)
    plan = plan_request(backend, Request(1, Node(1), critical=True))
    plan.demand_possible()
    assert [finding.check for finding in plan.warnings] == ["critical"]


def test_a_second_look_says_what_changed() -> None:
    """Between two steps: nothing raises, and what has become worse is an error."""
    backend = machine()
    add_process(backend, [0] * 10)
    request = Request(PID, Node(1))
    assert [f.severity for f in recheck(backend, request)] == [Severity.OK] * 4
    assert set(by_check(recheck(backend, request))) == {"rights", "cpuset", "critical", "room"}
    backend.machine.balancing = 1
    backend.machine.process(PID).mems_allowed = frozenset({0})
    found = by_check(recheck(backend, request))
    assert found["balancing"].severity is Severity.WARNING
    assert found["cpuset"].severity is Severity.ERROR
    backend.machine.end(PID)
    (gone,) = recheck(backend, request)
    assert (gone.check, gone.severity) == ("process", Severity.ERROR)
    assert f"no process with pid {PID}" in gone.reason


def test_a_second_look_meets_lost_rights() -> None:
    backend = machine(caller=Caller("ada", sys_ptrace=False))
    add_process(backend, [0], user="bob")
    (found,) = recheck(backend, Request(PID, Node(1)))
    assert (found.check, found.severity) == ("rights", Severity.ERROR)
    assert "CAP_SYS_PTRACE" in found.remedy


@pytest.mark.parametrize(
    ("wanted", "severity"), [(None, Severity.OK), (90 << 20, Severity.OK), (96 << 20, Severity.WARNING)]
)
def test_a_second_look_at_the_room(wanted: int | None, severity: Severity) -> None:
    backend = machine(1 << 18, 25_600)  # node 1: 100 MiB, of which 5 are kept
    add_process(backend, [0])
    assert by_check(recheck(backend, Request(PID, Node(1)), wanted))["room"].severity is severity


def test_a_full_target_has_no_room_for_one_page() -> None:
    backend = machine(1 << 18, 25_600)
    add_process(backend, [0], [1] * 24_400)
    assert by_check(recheck(backend, Request(PID, Node(1))))["room"].severity is Severity.WARNING
