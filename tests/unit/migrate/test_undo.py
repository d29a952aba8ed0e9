"""Taking jobs back, on simulated machines; where pages are is read from the page tables themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numamig.backends.base import MovePagesReturn
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import ABSENT, Flag
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.migrate.undo import Undoing, can_be_taken_back, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from tests.machines import PID, START, add_process, machine, pages_by_node

PAGE = 4096


def new_job(backend: SimulatorBackend, recorder: Recorder, target: int = 1, **asked: object) -> Job:
    plan = plan_request(backend, Request(PID, Node(target), **{"most_calls": None, **asked}))  # type: ignore[arg-type]
    record = recorder.begin(plan)
    return Job(record.number, backend, plan, record)


def finish(job: Job, backend: SimulatorBackend, steps: int | None = None) -> JobSnapshot:
    """To its end, or for some steps; what it says must add up after each."""
    left = [steps if steps is not None else 10**9]

    def wanted() -> bool:
        left[0] -= 1
        return left[0] >= 0

    for _ in run_job(job, backend, wanted):
        snapshot = job.snapshot()
        assert snapshot.outcomes.total == snapshot.chosen == sum(row.pages for row in job.ledger())
    return job.snapshot()


def undo(backend: SimulatorBackend, recorder: Recorder, number: int, steps: range | None = None) -> JobSnapshot:
    undoing = Undoing(recorder.journal, recorder.journal.job(number), steps)
    plan = plan_undo(backend, undoing)
    record = recorder.begin(plan)
    return finish(Job(record.number, backend, plan, record, chooses=choose_to_undo(undoing)), backend)


def counts(job: JobSnapshot) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in job.outcomes.items() if pages}


def test_every_page_is_where_it_was() -> None:
    backend = machine()
    random = np.random.default_rng(7)
    layout = random.choice([0, 1, 2, ABSENT], 5000, p=[0.4, 0.2, 0.3, 0.1]).astype(np.uint8)
    (backing,) = add_process(backend, layout)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder, batch_pages=300), backend)
    assert set(backing.node.tolist()) == {1, ABSENT}
    back = undo(backend, recorder, job.number)
    assert backing.node.tolist() == layout.tolist()
    assert counts(back) == {"moved": int(np.isin(layout, (0, 2)).sum())} == counts(job)
    assert back.moved == {(1, 0): int((layout == 0).sum()), (1, 2): int((layout == 2).sum())}
    assert back.state is JobState.DONE


@settings(max_examples=40)
@given(st.data())
def test_whatever_was_done_in_whatever_steps_comes_back(data: st.DataObject) -> None:
    backend = machine()
    layout = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2, ABSENT]), min_size=1, max_size=400)), np.uint8)
    pinned = data.draw(st.dictionaries(st.integers(0, len(layout) - 1), st.just(Flag.PINNED), max_size=20))
    pinned = {page: flag for page, flag in pinned.items() if layout[page] != ABSENT}
    (backing,) = add_process(backend, layout, flags=pinned)  # type: ignore[arg-type]
    recorder = Recorder.open(backend)
    batch = data.draw(st.integers(1, 200))
    job = new_job(backend, recorder, batch_pages=batch, retry=Retry(passes=data.draw(st.integers(1, 3))))
    finish(job, backend, data.draw(st.integers(1, 6)))
    job.cancel()
    moved = int((backing.node != layout).sum())
    assert job.snapshot().moved.get((0, 1), 0) + job.snapshot().moved.get((2, 1), 0) == moved
    if moved:
        back = undo(backend, recorder, job.number)
        assert counts(back) == {"moved": moved}
    assert backing.node.tolist() == layout.tolist()


def test_part_of_a_job() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder, batch_pages=100), backend)
    assert counts(undo(backend, recorder, job.number, range(8, 10))) == {"moved": 200}
    assert backing.node.tolist() == [1] * 800 + [0] * 200
    assert counts(undo(backend, recorder, job.number)) == {"moved": 800, "already_there": 200}
    assert pages_by_node(backing) == {0: 1000}


def test_what_moved_on_what_went_back_and_what_was_freed() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder), backend)
    machine_ = backend.machine
    machine_.relocate(backing, slice(0, 10), 2)
    machine_.relocate(backing, slice(10, 30), 0)
    backing.node[30:60] = ABSENT
    assert counts(undo(backend, recorder, job.number)) == {"moved": 950, "already_there": 20, "absent": 30}
    assert pages_by_node(backing) == {0: 970}


def test_an_undo_can_be_taken_back() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0, 2] * 500)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder), backend)
    back = undo(backend, recorder, job.number)
    with pytest.raises(UsageError, match=f"taken back by job {back.number}"):
        plan_undo(backend, Undoing(recorder.journal, recorder.journal.job(job.number)))
    undo(backend, recorder, back.number)
    assert pages_by_node(backing) == {1: 1000}


def test_busy_pages_come_back_in_a_later_pass() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 300)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder), backend)
    backing.flags[100:120] |= np.uint8(Flag.PINNED)
    plan = plan_undo(backend, undoing := Undoing(recorder.journal, recorder.journal.job(job.number)))
    again = Job(99, backend, plan, recorder.begin(plan), chooses=choose_to_undo(undoing))
    again.run()
    while again.snapshot().passes == 1:
        again.step()
    backing.flags[100:120] = 0
    assert counts(finish(again, backend)) == {"moved": 300}
    assert pages_by_node(backing) == {0: 300}


def test_what_an_undo_left_busy_is_taken_back_by_another() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 300)
    recorder = Recorder.open(backend)
    number = finish(new_job(backend, recorder), backend).number
    backing.flags[100:150] |= np.uint8(Flag.PINNED)
    assert counts(undo(backend, recorder, number)) == {"moved": 250, "busy": 50}
    assert can_be_taken_back(recorder.journal, recorder.journal.job(number))
    backing.flags[100:150] = 0
    assert counts(undo(backend, recorder, number)) == {"moved": 50, "already_there": 250}
    assert pages_by_node(backing) == {0: 300}
    assert not can_be_taken_back(recorder.journal, recorder.journal.job(number))


class Dying(SimulatorBackend):
    """Its caller is gone in the middle of a call, when part of it is done."""

    dies_at = 3
    part = slice(None, None, 3)
    """Of the addresses of the call."""

    def move_pages(self, pid, addresses, nodes, flags=2) -> MovePagesReturn:  # type: ignore[no-untyped-def]
        if nodes is not None:
            self.dies_at -= 1
            if not self.dies_at:
                super().move_pages(pid, addresses[self.part], nodes[self.part], flags)
                raise SystemError
        return super().move_pages(pid, addresses, nodes, flags)


def test_a_batch_without_a_result_comes_back_too() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    dying = Dying(backend.machine)
    recorder = Recorder.open(dying)
    job = new_job(dying, recorder, batch_pages=100)  # type: ignore[arg-type]
    with pytest.raises(SystemError):
        finish(job, dying)
    assert pages_by_node(backing) == {0: 766, 1: 234}
    number = job.number
    entry = recorder.journal.batch(number, 2)
    assert entry is not None and entry.left is None
    recorder.locks.give_back(recorder.journal.job(number).image)  # as the end of its process does
    assert counts(undo(dying, recorder, number)) == {"moved": 234}
    assert pages_by_node(backing) == {0: 1000}


def test_another_process_and_another_machine_are_refused() -> None:
    backend = machine()
    add_process(backend, [0] * 100)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder), backend)
    undoing = Undoing(recorder.journal, recorder.journal.job(job.number))
    other = machine()
    add_process(other, [1] * 100)
    with pytest.raises(RefusedError, match="another boot"):
        plan_undo(other, undoing)
    backend.machine.end(PID)
    with pytest.raises(TargetGone):
        plan_undo(backend, undoing)
    add_process(backend, [1] * 100, start_time=2000)
    with pytest.raises(RefusedError, match="another process"):
        plan_undo(backend, undoing)


def test_what_is_mapped_anew_is_left_alone() -> None:
    backend = machine()
    first, _second = add_process(backend, [0] * 100, [0] * 100)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder), backend)
    regions = backend.machine.process(PID).regions
    assert regions[0].start == START
    regions[0].path = "/somebody/elses"
    back = undo(backend, recorder, job.number)
    assert pages_by_node(first) == {1: 100}
    assert counts(back) == {"moved": 100, "unmapped": 100}


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_is_unmapped_since_is_in_the_account(cancelled: bool) -> None:
    backend = machine()
    first, second = add_process(backend, [0, 2, 0] * 100, [2] * 200)
    recorder = Recorder.open(backend)
    number = finish(new_job(backend, recorder, batch_pages=90), backend).number
    regions = backend.machine.process(PID).regions
    del regions[0]
    plan = plan_undo(backend, undoing := Undoing(recorder.journal, recorder.journal.job(number)))
    assert plan.pages == 500
    job = Job(9, backend, plan, recorder.begin(plan), chooses=choose_to_undo(undoing))
    if cancelled:
        finish(job, backend, 1)
        job.cancel()
        assert counts(job.snapshot()) == {"moved": 50, "unmapped": 300, "not_tried": 150}
        return
    assert counts(finish(job, backend)) == {"moved": 200, "unmapped": 300}
    assert (pages_by_node(first), pages_by_node(second)) == ({1: 300}, {2: 200})
    lost = [(row.target, row.pages) for row in job.ledger() if row.outcome is Outcome.UNMAPPED and row.region < 0]
    assert lost == [(0, 200), (2, 100)]


def test_where_nothing_is_mapped_any_more_that_is_what_is_said() -> None:
    backend = machine()
    add_process(backend, [0] * 300)
    recorder = Recorder.open(backend)
    number = finish(new_job(backend, recorder), backend).number
    backend.machine.process(PID).regions.clear()
    assert counts(undo(backend, recorder, number)) == {"unmapped": 300}


@pytest.mark.parametrize("then", ["/usr/bin/db", "/usr/bin/db (deleted)"])
def test_a_file_that_was_replaced_is_still_mapped(then: str) -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 300)
    (region,) = backend.machine.process(PID).regions
    region.path = then
    recorder = Recorder.open(backend)
    number = finish(new_job(backend, recorder), backend).number
    region.path = "/usr/bin/db (deleted)"
    assert counts(undo(backend, recorder, number)) == {"moved": 300}
    assert pages_by_node(backing) == {0: 300}


@pytest.mark.parametrize("batch_pages", [10, 64, 100, 1000])
def test_a_batch_that_was_chosen_ahead_and_given_back_is_chosen_again(batch_pages: int) -> None:
    """As is done on a machine whose time passes by itself, after a pause and where a budget steers."""
    backend = machine()
    (backing,) = add_process(backend, [0, 2, 0, 0] * 100)
    recorder = Recorder.open(backend)
    number = finish(new_job(backend, recorder, batch_pages=100), backend).number
    plan = plan_undo(backend, undoing := Undoing(recorder.journal, recorder.journal.job(number)))
    chooser = choose_to_undo(undoing)(backend, backend.hold(plan.process), plan, None)
    chosen: list[int] = []
    while not chooser.place.exhausted:
        before = chooser.place
        chooser.next_batch(batch_pages)
        chooser.place = before
        batch = chooser.next_batch(batch_pages // 2)
        chosen += batch.address.tolist()
    assert sorted(chosen) == [START + page * PAGE for page in range(len(backing.node))]


def test_a_later_job_is_told() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 100)
    recorder = Recorder.open(backend)
    first = finish(new_job(backend, recorder), backend)
    second = finish(new_job(backend, recorder, 2), backend)
    plan = plan_undo(backend, Undoing(recorder.journal, recorder.journal.job(first.number)))
    assert [f"job {second.number} " in finding.reason for finding in plan.warnings] == [True]
    undo(backend, recorder, first.number)
    assert pages_by_node(backing) == {0: 100}


def test_a_huge_page_has_its_turn_once_in_batches_that_are_smaller() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 512 + [2] * 512, huge=True)
    recorder = Recorder.open(backend)
    job = finish(new_job(backend, recorder, batch_pages=200), backend)
    assert counts(undo(backend, recorder, job.number)) == {"moved": 1024}
    assert pages_by_node(backing) == {0: 512, 2: 512}
