"""What the account of a job says of pages that stayed."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.memory import Backing, Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.cli.narrate import print_job
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from tests.machines import PID, START, machine

MARKED, CLOSED = "marked by NUMA balancing", "may not be accessed (PROT_NONE), which this kernel does not see"


@pytest.mark.parametrize(
    ("permissions", "says", "says_not"),
    [(["---p"], [CLOSED], [MARKED]), (["rw-p"], [MARKED], [CLOSED]), (["---p", "rw-p"], [CLOSED, MARKED], [])],
)
def test_why_the_kernel_hides_pages(
    permissions: list[str], says: list[str], says_not: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    backend = machine(kernel="linux-6.1")
    process = SimProcess(PID, "workload")
    for number, permission in enumerate(permissions):
        backing = Backing.untouched(8)
        flag = 0 if permission.startswith("---") else Flag.HINTED
        backend.machine.place(backing, 0, np.zeros(8, np.uint8), flag)
        process.regions.append(SimRegion(START + (number << 30), backing, permissions=permission))
    backend.machine.add(process)
    # As where a userfaultfd is open.
    backend.clear_hints = lambda pid, addresses: False  # type: ignore[method-assign]
    job = Job(1, backend, plan_request(backend, Request(PID, Node(1))))
    for _ in run_job(job, backend):
        pass
    print_job(job.snapshot(), job.ledger())
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  hinted")]
    assert f"{8 * len(permissions)} pages" in line
    assert all(words in line for words in says)
    assert not any(words in line for words in says_not)
