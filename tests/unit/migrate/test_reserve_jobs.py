"""What jobs leave free where pages go, on simulated machines: by the counts of the nodes themselves."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import HUGE_PAGES, Backing, Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.finding import Severity
from numamig.model.process import RegionKind
from tests.machines import PID, START, add_process, machine, pages_by_node

MIB = 1 << 20
KEPT = -(-(1 << 18) // 20)
"""Pages that are left free on a node of 1 GiB: a twentieth, and the part of a page."""


def counts(job: JobSnapshot) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in job.outcomes.items() if pages}


def move(backend: SimulatorBackend, recorder: Recorder, request: Request) -> JobSnapshot:
    plan = plan_request(backend, request)
    record = recorder.begin(plan)
    return finish(Job(record.number, backend, plan, record), backend)


def finish(job: Job, backend: SimulatorBackend) -> JobSnapshot:
    for _ in run_job(job, backend):
        assert job.snapshot().chosen == sum(row.pages for row in job.ledger())
    return job.snapshot()


def plan_back(backend: SimulatorBackend, recorder: Recorder, number: int) -> tuple[Plan, Undoing]:
    undoing = Undoing(recorder.journal, recorder.journal.job(number))
    return plan_undo(backend, undoing), undoing


def undo(backend: SimulatorBackend, recorder: Recorder, number: int) -> JobSnapshot:
    plan, undoing = plan_back(backend, recorder, number)
    record = recorder.begin(plan)
    return finish(Job(record.number, backend, plan, record, chooses=choose_to_undo(undoing)), backend)


def fill(backend: SimulatorBackend, node: int, left: int, pid: int = 900) -> None:
    """Somebody else takes all of a node but so many pages."""
    count = backend.machine.nodes[node].free_pages - left
    backing = Backing.untouched(count)
    backend.machine.place(backing, 0, np.full(count, node, np.uint8))
    backend.machine.add(SimProcess(pid, "hog", regions=[SimRegion(START, backing, RegionKind.ANON)]))


@pytest.mark.parametrize("reserve", [None, 1000 * 4096])
def test_an_undo_leaves_every_node_its_reserve(reserve: int | None) -> None:
    kept = KEPT if reserve is None else 1000
    backend = machine()
    (backing,) = add_process(backend, [0, 2, 0, 2, 0] * 200)
    recorder = Recorder.open(backend)
    request = Request(PID, Node(1), batch_pages=50, most_calls=None, reserve_bytes=reserve)
    number = move(backend, recorder, request).number
    fill(backend, 2, kept + 150)
    back = undo(backend, recorder, number)
    assert counts(back) == {"moved": 750, "no_room": 250}
    assert backend.machine.nodes[2].free_pages == kept
    assert pages_by_node(backing) == {0: 600, 1: 250, 2: 150}
    backend.machine.end(900)
    assert counts(undo(backend, recorder, number)) == {"moved": 250, "already_there": 750}
    assert backing.node.tolist() == [0, 2, 0, 2, 0] * 200


def test_of_another_node_only_what_goes_there_is_taken() -> None:
    backend = machine()
    (backing,) = add_process(backend, [2] * 400 + [0] * 600)
    recorder = Recorder.open(backend)
    number = move(backend, recorder, Request(PID, Node(1), batch_pages=50)).number
    fill(backend, 0, KEPT + 600)
    fill(backend, 2, KEPT + 400, pid=901)
    assert counts(undo(backend, recorder, number)) == {"moved": 1000}
    assert [backend.machine.nodes[node].free_pages for node in (0, 2)] == [KEPT, KEPT]
    assert pages_by_node(backing) == {0: 600, 2: 400}


def test_a_batch_of_which_nothing_fits_ends_an_undo_and_names_the_node() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 600 + [2] * 400)
    recorder = Recorder.open(backend)
    number = move(backend, recorder, Request(PID, Node(1), batch_pages=100)).number
    fill(backend, 2, KEPT + 150)
    back = undo(backend, recorder, number)
    assert (back.state, back.reason) == (JobState.STOPPED, "node 2 is down to its reserve")
    assert counts(back) == {"moved": 150, "no_room": 150, "not_tried": 700}
    assert pages_by_node(backing) == {1: 850, 2: 150}


def test_where_an_undo_finds_little_room_or_may_not_go_is_told_before() -> None:
    backend = machine()
    add_process(backend, [0] * 1024 + [2] * 512)
    recorder = Recorder.open(backend)
    number = move(backend, recorder, Request(PID, Node(1))).number
    plan, _ = plan_back(backend, recorder, number)
    assert {finding.check for finding in plan.findings} >= {"room", "cpuset"}
    assert not plan.warnings and not plan.errors
    fill(backend, 2, KEPT + 256)
    plan, _ = plan_back(backend, recorder, number)
    (told,) = plan.warnings
    assert told.reason == "node 2 has 52 MiB free, 2 MiB are to move there, and 51.2M are kept free"
    backend.machine.process(PID).mems_allowed = frozenset({0, 1})
    plan, _ = plan_back(backend, recorder, number)
    (told,) = plan.errors
    assert (told.check, told.severity) == ("cpuset", Severity.ERROR)
    assert "moved to node 2" in told.reason


def test_pages_of_pools_need_no_free_memory() -> None:
    """Those of the simulated machine take it all the same: so whatever is free shows that they were let through."""
    backend = machine()
    (ordinary,) = add_process(backend, [0] * 300)
    pooled = Backing.untouched(4 * HUGE_PAGES)
    backend.machine.place(pooled, 0, np.zeros(4 * HUGE_PAGES, np.uint8), Flag.LARGE)
    region = SimRegion(START + (1 << 30), pooled, RegionKind.HUGETLB, page_size=2 * MIB)
    backend.machine.process(PID).regions.append(region)
    fill(backend, 1, KEPT + 100)
    recorder = Recorder.open(backend)
    job = move(backend, recorder, Request(PID, Node(1)))
    assert job.state is JobState.DONE
    assert counts(job) == {"moved": 4 * HUGE_PAGES + 100, "no_room": 200}
    assert (pages_by_node(pooled), pages_by_node(ordinary)) == ({1: 4 * HUGE_PAGES}, {0: 200, 1: 100})
    fill(backend, 0, KEPT, pid=901)
    back = undo(backend, recorder, job.number)
    assert counts(back) == {"moved": 4 * HUGE_PAGES, "no_room": 100}
    assert (pages_by_node(pooled), pages_by_node(ordinary)) == ({0: 4 * HUGE_PAGES}, {0: 200, 1: 100})


def test_a_batch_without_room_is_told_from_what_had_no_turn() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    fill(backend, 1, KEPT + 250)
    job = move(backend, Recorder.open(backend), Request(PID, Node(1), batch_pages=100))
    assert (job.state, job.reason) == (JobState.STOPPED, "node 1 is down to its reserve")
    assert counts(job) == {"moved": 250, "no_room": 100, "not_tried": 650}
    assert pages_by_node(backing) == {0: 750, 1: 250}


def test_a_huge_page_that_is_larger_than_a_batch_leaves_the_reserve_too() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1024, huge=True)
    fill(backend, 1, KEPT + 700)
    job = move(backend, Recorder.open(backend), Request(PID, Node(1), batch_pages=100))
    assert counts(job) == {"moved": 512, "no_room": 512}
    assert pages_by_node(backing) == {0: 512, 1: 512}
