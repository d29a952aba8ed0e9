"""What stops a job before it starts: rights that are missing, and cpusets."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.base import MovePagesReturn
from numamig.backends.simulator.process import Caller
from numamig.errors import RefusedError
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.preflight import check, demand_process
from numamig.migrate.queue import run_job
from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.outcome import Outcome
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
    _, findings = check(backend, Request(PID, 1))
    found = by_check(findings)["cpuset"]
    assert found.severity is severity
    if severity is Severity.ERROR:
        assert found.remedy == "move to one of nodes 0,2, or add 1 to cpuset.mems of its control group /"
        with pytest.raises(RefusedError, match="allows nodes 0,2 only"):
            plan_request(backend, Request(PID, 1)).demand_possible()


def test_the_error_is_no_more_than_what_the_kernel_says() -> None:
    """A job that is begun in spite of it: the whole call is refused, and nothing moves."""
    backend = machine()
    (backing,) = add_process(backend, [0] * 10, mems_allowed=frozenset({0, 2}))
    job = Job(1, backend, plan_request(backend, Request(PID, 1)))
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
