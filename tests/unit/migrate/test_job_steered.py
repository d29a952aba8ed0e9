"""What somebody changes about a job counts, is in the journal, and is what a resumed run goes by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Backing, Flag
from numamig.backends.simulator.process import SimRegion
from numamig.errors import JournalError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.resume import plan_to_go_on
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.events import JobAsked
from numamig.model.process import RegionKind
from tests.machines import PID, START, add_process, machine, pages_by_node
from tests.unit.migrate.test_undo import finish, undo


def queue_with_job(backend: SimulatorBackend, **asked: object) -> tuple[JobQueue, int]:
    """100 pages a step, to node 1."""
    queue = JobQueue(backend)
    request = Request(PID, Node(1), **{"most_calls": None, "batch_pages": 100, **asked})  # type: ignore[arg-type]
    return queue, queue.add(plan_request(backend, request))


def die(queue: JobQueue, number: int) -> Recorder:
    """Its numamig was killed between two steps: what is left is the journal."""
    recorder = queue.recorder
    recorder.locks.give_back(recorder.journal.job(number).image)
    return recorder


def go_on(backend: SimulatorBackend, recorder: Recorder, number: int) -> JobSnapshot:
    plan, record = plan_to_go_on(backend, recorder, recorder.journal.job(number))
    return finish(Job(record.number, backend, plan, record), backend)


def acts(recorder: Recorder, number: int) -> list[str]:
    return [what for _, what, *_ in recorder.journal.acts(number)]


@contextmanager
def full_disk(recorder: Recorder) -> Iterator[None]:
    """Nothing can be written to the journal."""
    db: sqlite3.Connection = recorder.journal._db
    db.execute("PRAGMA query_only=ON")
    try:
        yield
    finally:
        db.execute("PRAGMA query_only=OFF")


def test_what_was_sent_elsewhere_goes_there_when_it_is_gone_on_with_and_what_moved_before_stays() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    queue, number = queue_with_job(backend)
    queue.step(number)
    queue.step(number)
    queue.retarget(number, Node(2))
    queue.step(number)
    recorder = die(queue, number)
    entry = recorder.journal.job(number)
    assert (entry.request["to"], entry.planned) == ({"node": 2}, 1000)
    go_on(backend, recorder, number)
    assert backing.node.tolist() == [1] * 200 + [2] * 800
    undo(backend, recorder, number)
    assert pages_by_node(backing) == {0: 1000}


def test_busy_pages_of_the_old_target_have_another_turn_at_the_new_one_when_it_is_gone_on_with() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000, flags=dict.fromkeys(range(50, 60), Flag.PINNED))
    queue, number = queue_with_job(backend)
    queue.step(number)
    queue.retarget(number, Node(2))
    recorder = die(queue, number)
    assert recorder.journal.job(number).planned == 1000
    backing.flags[:] = 0
    go_on(backend, recorder, number)
    assert backing.node.tolist() == [1] * 50 + [2] * 10 + [1] * 40 + [2] * 900


def test_size_budget_and_rate_are_what_it_is_gone_on_with() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    queue, number = queue_with_job(backend)
    queue.step(number)
    queue.set_batch(number, 64)
    queue.set_budget(number, 5_000_000)
    queue.set_rate(number, 200 << 20)
    queue.retarget(number, Node(2))  # asks for nothing but another node
    recorder = die(queue, number)
    plan, record = plan_to_go_on(backend, recorder, recorder.journal.job(number))
    record.unlock()
    asked = plan.request
    assert (asked.to, asked.batch_pages, asked.budget_ns, asked.rate) == (Node(2), 64, 5_000_000, 200 << 20)


def test_without_a_journal_nothing_is_changed() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    queue, number = queue_with_job(backend)
    queue.step(number)
    with full_disk(queue.recorder):
        for ask in (
            lambda: queue.retarget(number, Node(2)),
            lambda: queue.set_batch(number, 64),
            lambda: queue.set_rate(number, 1 << 20),
            lambda: queue.run(number),
        ):
            with pytest.raises(JournalError):
                ask()
    job = queue.snapshot(number)
    assert (job.request.to, job.batch_pages, job.request.rate, job.state.value) == (Node(1), 100, None, "held")
    queue.step(number)
    assert pages_by_node(backing) == {0: 800, 1: 200}


def test_every_act_is_in_the_journal_and_told() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    queue, number = queue_with_job(backend)
    follower = queue.stream.follow()
    queue.step(number)
    queue.set_batch(number, 64)
    queue.set_rate(number, 200 << 20)
    queue.set_rate(number, None)
    queue.set_rate(number, None)  # which it is already
    queue.set_budget(number, 5_000_000)
    queue.prioritise(number, 5)
    queue.shift(number, -1)
    queue.retarget(number, Node(2))
    queue.run(number)
    queue.step(queue.claim() or 0)  # whoever steps what runs does not ask for anything
    queue.hold(number)
    said = [
        *("step", "batch 64", "rate 200.0M/s", "no rate", "budget 5.0 ms", "priority 5", "shift -1"),
        *("retarget to node 2", "run", "hold"),
    ]
    assert acts(queue.recorder, number) == said
    assert [event.what for event in follower.news() if isinstance(event, JobAsked)] == said
    recorder = die(queue, number)
    _, record = plan_to_go_on(backend, recorder, recorder.journal.job(number))
    record.unlock()
    assert acts(recorder, number)[len(said) :] == ["resume"]


def test_warnings_are_accepted_by_name() -> None:
    backend = machine(1 << 18, 900, 1 << 18)
    add_process(backend, [0] * 1000)
    queue, number = queue_with_job(backend, reserve_bytes=0)
    checks = [finding.check for finding in queue.snapshot(number).plan.warnings]
    assert checks
    queue.run(number)
    assert acts(queue.recorder, number) == [f"run, accepting: {', '.join(dict.fromkeys(checks))}"]


def test_memory_mapped_since_is_moved_and_taken_back_too() -> None:
    backend = machine()
    (old,) = add_process(backend, [0] * 500)
    queue, number = queue_with_job(backend)
    queue.step(number)
    recorder = die(queue, number)
    process = backend.machine.process(PID)
    new = Backing.untouched(200)
    backend.machine.place(new, 0, [2] * 200, 0)  # type: ignore[arg-type]
    process.regions.append(SimRegion(START + (64 << 20), new, RegionKind.ANON))
    go_on(backend, recorder, number)
    assert pages_by_node(old, new) == {1: 700}
    undo(backend, recorder, number)
    assert (pages_by_node(old), pages_by_node(new)) == ({0: 500}, {2: 200})


def test_memory_unmapped_since_stays_known() -> None:
    backend = machine()
    add_process(backend, [0] * 300, [0] * 300)
    queue, number = queue_with_job(backend)
    for _ in range(4):
        queue.step(number)
    recorder = die(queue, number)
    process = backend.machine.process(PID)
    before = recorder.journal.job(number).regions
    gone = process.regions.pop(0)
    plan_to_go_on(backend, recorder, recorder.journal.job(number))[1].unlock()
    process.regions.insert(0, gone)
    assert recorder.journal.job(number).regions == before
