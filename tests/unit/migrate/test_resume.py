"""Going on with a job that nobody ended; where pages are is read from the page tables themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import ABSENT, Flag
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.job import Job
from numamig.migrate.journal.locks import WriterLocks
from numamig.migrate.journal.packing import unpack_left
from numamig.migrate.journal.record import Recorder
from numamig.migrate.journal.store import Journal
from numamig.migrate.resume import moved_pages, plan_to_go_on, settle_doubtful
from numamig.migrate.snapshot import JobSnapshot, JobState
from tests.machines import PID, add_process, machine, pages_by_node
from tests.unit.migrate.test_undo import PAGE, Dying, counts, finish, new_job, undo


def go_on(backend: SimulatorBackend, recorder: Recorder, number: int, steps: int | None = None) -> JobSnapshot:
    plan, record = plan_to_go_on(backend, recorder, recorder.journal.job(number))
    return finish(Job(record.number, backend, plan, record), backend, steps)


def interrupted(backend: SimulatorBackend, recorder: Recorder, steps: int = 2) -> int:
    """A job of 100 pages a step that somebody cancelled."""
    job = new_job(backend, recorder, batch_pages=100)
    finish(job, backend, steps)
    job.cancel()
    return job.number


def killed(backend: SimulatorBackend, recorder: Recorder) -> int:
    """A job that ended in the middle of its third call, when 34 of its 100 pages had moved."""
    job = new_job(Dying(backend.machine), recorder, batch_pages=100)  # type: ignore[arg-type]
    with pytest.raises(SystemError):
        finish(job, backend)
    recorder.locks.give_back(recorder.journal.job(job.number).image)  # as the end of its process does
    return job.number


def test_what_is_left_of_a_cancelled_job_moves() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0, 2] * 500)
    recorder = Recorder.open(backend)
    number = interrupted(backend, recorder)
    entry = recorder.journal.job(number)
    assert (entry.state, moved_pages(recorder.journal, entry)) == ("cancelled", 200)
    assert pages_by_node(backing) == {0: 400, 1: 200, 2: 400}
    rest = go_on(backend, recorder, number)
    assert (rest.number, rest.state, counts(rest)) == (number, JobState.DONE, {"moved": 800})
    assert pages_by_node(backing) == {1: 1000}
    entry = recorder.journal.job(number)
    assert (entry.state, moved_pages(recorder.journal, entry)) == ("done", 1000)
    assert {outcome.key: pages for outcome, pages in entry.outcomes.items() if pages} == {"moved": 1000}
    assert counts(undo(backend, recorder, number)) == {"moved": 1000}
    assert pages_by_node(backing) == {0: 500, 2: 500}


def test_a_batch_without_a_result_gets_the_one_that_its_pages_tell() -> None:
    backend = machine()
    layout = np.random.default_rng(3).choice([0, 2, ABSENT], 1300, p=[0.5, 0.3, 0.2]).astype(np.uint8)
    (backing,) = add_process(backend, layout)
    recorder = Recorder.open(backend)
    number = killed(backend, recorder)
    middle = backing.node.copy()
    assert int((middle != layout).sum()) == 234
    journal = recorder.journal
    entry = journal.batch(number, 2)
    assert entry is not None and entry.left is None
    go_on(backend, recorder, number, steps=1)
    assert moved_pages(journal, journal.job(number)) == int((backing.node != layout).sum()) == 334
    entry = journal.batch(number, 2)
    assert entry is not None and entry.left is not None
    stayed = unpack_left(entry.left).pages(PAGE)
    assert (entry.pages, stayed) == (100, 66)
    go_on(backend, recorder, number)
    assert pages_by_node(backing) == {1: int((layout != ABSENT).sum())}
    undo(backend, recorder, number)
    assert backing.node.tolist() == layout.tolist()


def test_huge_pages_of_a_batch_without_a_result() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 512 + [2] * 512 + [0] * 1024, huge=True)
    layout = backing.node.copy()
    dying = Dying(backend.machine)
    dying.dies_at = 1
    recorder = Recorder.open(backend)
    job = new_job(dying, recorder, batch_pages=2048)  # type: ignore[arg-type]
    with pytest.raises(SystemError):
        finish(job, backend)
    recorder.locks.give_back(recorder.journal.job(job.number).image)
    moved = int((backing.node != layout).sum())
    assert moved == 1024  # the first and the fourth
    backing.flags[:512] &= ~np.uint8(Flag.LARGE)  # split meanwhile
    settle_doubtful(backend, recorder.journal, recorder.journal.job(job.number))
    assert moved_pages(recorder.journal, recorder.journal.job(job.number)) == 1024
    undo(backend, recorder, job.number)
    assert backing.node.tolist() == layout.tolist()


def test_small_pages_of_a_batch_without_a_result_that_are_a_huge_one_by_now() -> None:
    backend = machine()
    (backing,) = add_process(backend, [1] * 100 + [0] * 412)
    dying = Dying(backend.machine)
    dying.dies_at, dying.part = 1, slice(None)
    recorder = Recorder.open(backend)
    job = new_job(dying, recorder, batch_pages=512)  # type: ignore[arg-type]
    with pytest.raises(SystemError):
        finish(job, backend)
    assert pages_by_node(backing) == {1: 512}
    backing.flags[:] |= np.uint8(Flag.LARGE)
    settle_doubtful(backend, recorder.journal, recorder.journal.job(job.number))
    assert moved_pages(recorder.journal, recorder.journal.job(job.number)) == 412


def test_a_batch_that_nothing_came_of_is_moved_then() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 300)
    recorder = Recorder.open(backend)
    dying = Dying(backend.machine)
    dying.dies_at = 1
    dying.machine.process(PID).regions[0].backing.flags[:100] |= np.uint8(Flag.PINNED)
    job = new_job(dying, recorder, batch_pages=100)  # type: ignore[arg-type]
    with pytest.raises(SystemError):
        finish(job, backend)
    recorder.locks.give_back(recorder.journal.job(job.number).image)
    backing.flags[:100] = 0
    assert counts(go_on(backend, recorder, job.number)) == {"moved": 300}
    assert moved_pages(recorder.journal, recorder.journal.job(job.number)) == 300


def test_what_was_taken_back_and_gone_on_with_can_be_taken_back_again() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    recorder = Recorder.open(backend)
    number = killed(backend, recorder)
    undo(backend, recorder, number)
    assert pages_by_node(backing) == {0: 1000}
    go_on(backend, recorder, number, steps=1)
    assert pages_by_node(backing) == {0: 900, 1: 100}
    assert counts(undo(backend, recorder, number))["moved"] == 100
    assert pages_by_node(backing) == {0: 1000}


def test_while_somebody_else_is_at_it_it_is_refused(tmp_path: Path) -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    journal = Journal(None)
    recorder, other = (Recorder(journal, WriterLocks(tmp_path), backend) for _ in range(2))
    number = interrupted(backend, recorder)
    plan_to_go_on(backend, recorder, journal.job(number))
    with pytest.raises(RefusedError, match="another numamig"):
        plan_to_go_on(backend, other, journal.job(number))
    assert pages_by_node(backing) == {0: 800, 1: 200}
    recorder.locks.give_back(journal.job(number).image)
    assert counts(go_on(backend, other, number)) == {"moved": 800}


def test_what_cannot_be_gone_on_with() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    recorder = Recorder.open(backend)
    done = finish(new_job(backend, recorder), backend).number
    with pytest.raises(UsageError, match=f"job {done} is done"):
        go_on(backend, recorder, done)
    back = undo(backend, recorder, done).number
    with pytest.raises(UsageError, match=f"job {back} took back job {done}"):
        go_on(backend, recorder, back)
    with pytest.raises(UsageError, match="no job 99"):
        go_on(backend, recorder, 99)
    number = interrupted(backend, recorder)
    image = recorder.journal.job(number).image
    backend.machine.end(PID)
    with pytest.raises(TargetGone):
        go_on(backend, recorder, number)
    add_process(backend, [0] * 1000, start_time=2000)
    with pytest.raises(RefusedError, match="another process"):
        go_on(backend, recorder, number)
    assert recorder.locks.holder(image) is None
