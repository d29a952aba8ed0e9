"""A second tool moves pages in the middle of a job: what the job says of its pages stays true."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.actors.second_tool import SecondTool
from numamig.migrate.breaker import Limits
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.outcome import Outcome
from tests.machines import PID, add_process, machine, pages_by_node

MS = 10**6


def test_it_moves_at_its_times_and_takes_time() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000 + [1] * 1000 + [255] * 10)
    tool = SecondTool(PID, 2, at_ns=5 * MS, every_ns=10 * MS, source=(0,), pages=300, call_pages=100)
    tool.start(backend.machine)
    backend.clock.sleep_ns(5 * MS)
    assert pages_by_node(backing) == {0: 1000, 1: 1000}
    backend.clock.sleep_ns(1)
    assert pages_by_node(backing)[2] == 100  # the first call has begun; the others wait for it
    backend.clock.sleep_ns(4 * MS)
    assert pages_by_node(backing)[2] == 300
    backend.clock.sleep_ns(40 * MS)
    assert pages_by_node(backing) == {1: 1000, 2: 1000}
    assert len(tool.answers) == 10 and all((answer.status == 2).all() for answer in tool.answers)


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("to", [0, 1, 2])
def test_a_job_accounts_truly_for_pages_that_somebody_else_moves(kernel: str, to: int) -> None:
    backend = machine(kernel=kernel)
    pages = 20_000
    (backing,) = add_process(backend, [0] * pages)
    before = backing.node.copy()
    tool = SecondTool(PID, to, at_ns=2 * MS, every_ns=1 * MS, pages=700)
    tool.start(backend.machine)
    job = Job(
        1,
        backend,
        plan_request(backend, Request(PID, Node(1), sources=(0,), most_calls=None)),
        limits=Limits(bounced=None),
    )
    list(run_job(job, backend))
    done = job.snapshot()
    assert tool.answers
    assert done.outcomes.total == done.chosen
    ways = backend.machine.moved_pages
    if to == 1:  # what the other brought there before was never chosen; at once, both are told that it is there
        assert pages_by_node(backing) == {1: pages} and ways[0, 1] == pages
        assert done.chosen < pages and done.outcomes[Outcome.MOVED] == done.chosen
        assert done.chosen + sum(int((a.status == 1).sum()) for a in tool.answers) >= pages - 700
    else:  # nobody else moves this way
        assert done.outcomes[Outcome.MOVED] == done.chosen == ways[0, 1] > ways[1, to] > 0
    assert before.size == sum(pages_by_node(backing).values())


def test_a_process_that_ends_ends_it() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    tool = SecondTool(PID, 1, at_ns=MS, every_ns=MS, pages=10)
    tool.start(backend.machine)
    backend.clock.sleep_ns(3 * MS)
    backend.machine.end(PID)
    calls = len(tool.answers)
    backend.clock.sleep_ns(100 * MS)
    assert calls - 1 <= len(tool.answers) <= calls + 1
    assert np.all([answer.returned <= 0 for answer in tool.answers])
