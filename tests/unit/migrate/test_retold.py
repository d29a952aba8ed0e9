"""What the journal tells of a job when its program is gone: the account that the job had, and its steps."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Flag
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.ledger import UNKNOWN_REGION, LedgerRow
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.resume import plan_to_go_on
from numamig.migrate.retold import Step, retell, steps
from numamig.migrate.run import run_job
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from tests.machines import PAGE, PID, START, add_process, machine

ONCE, AGAIN = Retry(RetryMode.NEVER), Retry(RetryMode.BOUNDED, 3)


def run(backend: SimulatorBackend, recorder: Recorder, plan: Plan, chooses: ChoosesFor = choose_by_plan) -> Job:
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record, chooses=chooses)
    for _ in run_job(job, backend):
        pass
    return job


def request(**more: object) -> Request:
    return Request(PID, Node(1), batch_pages=100, most_calls=None, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("retry", [ONCE, AGAIN], ids=["one pass", "three passes"])
@pytest.mark.parametrize("scattered", [False, True], ids=["in a row", "scattered"])
def test_its_account_is_the_one_that_the_job_had(scattered: bool, retry: Retry) -> None:
    backend = machine()
    random = np.random.default_rng(1)
    layout = random.choice([0, 2], 2000) if scattered else np.repeat([0, 2], 1000)
    flags = {int(page): Flag.ISOLATED for page in random.choice(2000, 300, replace=False)}
    add_process(backend, layout.astype(np.uint8), [2] * 500, [0, 1] * 50, flags=flags)
    recorder = Recorder.open(backend)
    job = run(backend, recorder, plan_request(backend, request(retry=retry)))
    told = retell(recorder.journal, recorder.journal.job(job.number))
    assert job.snapshot().outcomes[Outcome.BUSY] == 300
    assert told.rows == job.ledger()
    assert len({row.region for row in told.rows}) == 3
    assert told.moved == dict(sorted(job.snapshot().moved.items()))
    assert (told.outcomes, told.unsettled) == (job.snapshot().outcomes, 0)


def test_what_moved_in_a_later_pass_did_not_stay() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000, flags=dict.fromkeys(range(50, 250), Flag.ISOLATED))
    recorder = Recorder.open(backend)
    plan = plan_request(backend, request(retry=AGAIN))
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record)
    job.run()
    while job.snapshot().passes < 2:
        job.step()
    backing.flags[:200] &= ~np.uint8(Flag.ISOLATED)
    for _ in run_job(job, backend):
        pass
    told = retell(recorder.journal, recorder.journal.job(job.number))
    assert told.rows == job.ledger()
    assert told.outcomes[Outcome.BUSY] == 50


def test_what_had_no_turn_is_known_by_number() -> None:
    backend = machine()
    add_process(backend, [0] * 1000, [2] * 500)
    recorder = Recorder.open(backend)
    plan = plan_request(backend, request())
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record)
    job.run()
    for _ in range(3):
        job.step()
    job.cancel()
    told = retell(recorder.journal, recorder.journal.job(job.number))
    assert told.rows == [
        LedgerRow(UNKNOWN_REGION, -1, 1, Outcome.NOT_TRIED, 1200),
        LedgerRow(0, 0, 1, Outcome.MOVED, 300),
    ]


def test_a_job_that_was_killed_and_gone_on_with() -> None:
    backend = machine()
    add_process(backend, [0] * 1000, flags=dict.fromkeys(range(150, 200), Flag.ISOLATED))
    recorder = Recorder.open(backend)
    plan = plan_request(backend, request(retry=ONCE))
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record)
    job.run()
    for _ in range(3):
        job.step()
    recorder.locks.give_back(record.image)  # as the end of its process does
    entry = recorder.journal.job(job.number)
    told = retell(recorder.journal, entry)
    # The result of the last step was to be written with the next one.
    assert (told.outcomes[Outcome.MOVED], told.outcomes[Outcome.BUSY], told.unsettled) == (150, 50, 100)
    assert [step.moved for step in steps(recorder.journal, entry)] == [100, 50, None]
    plan, record = plan_to_go_on(backend, recorder, entry)
    again = Job(record.number, backend, plan, record)
    for _ in run_job(again, backend):
        pass
    entry = recorder.journal.job(job.number)
    told = retell(recorder.journal, entry)
    assert (told.outcomes, told.unsettled) == (entry.outcomes, 0)
    assert (told.outcomes[Outcome.MOVED], told.outcomes[Outcome.BUSY]) == (950, 50)


def test_what_an_undo_did() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0, 2] * 500)
    recorder = Recorder.open(backend)
    number = run(backend, recorder, plan_request(backend, request())).number
    backend.machine.place(backing, 0, np.zeros(10, np.uint8), 0)
    undoing = Undoing(recorder.journal, recorder.journal.job(number))
    undo = run(backend, recorder, plan_undo(backend, undoing), choose_to_undo(undoing))
    told = retell(recorder.journal, recorder.journal.job(undo.number))
    assert told.outcomes == undo.snapshot().outcomes
    assert told.outcomes[Outcome.ALREADY_THERE] > 0
    assert told.moved == undo.snapshot().moved


def test_steps_are_counted_as_undo_counts_them() -> None:
    backend = machine()
    add_process(backend, [0] * 250, flags=dict.fromkeys(range(120, 130), Flag.ISOLATED))
    recorder = Recorder.open(backend)
    job = run(backend, recorder, plan_request(backend, request(retry=ONCE)))
    entry = recorder.journal.job(job.number)
    edges = [START + page * PAGE for page in (0, 100, 200, 250)]
    told = list(steps(recorder.journal, entry))
    assert [step[:4] for step in told] == [(n + 1, edges[n], edges[n + 1], (100, 100, 50)[n]) for n in range(3)]
    assert [step.moved for step in told] == [100, 90, 50]
    assert isinstance(told[1], Step)
    assert told[1].stayed is not None
    assert told[1].stayed[Outcome.BUSY] == 10
    taken = plan_undo(backend, Undoing(recorder.journal, entry, range(1, 2)))
    assert taken.pages == told[1].moved


def test_a_job_of_many_batches_is_read_some_at_a_time() -> None:
    backend = machine()
    add_process(backend, [0] * 3000)
    recorder = Recorder.open(backend)
    job = run(backend, recorder, plan_request(backend, Request(PID, Node(1), batch_pages=1, most_calls=None)))
    entry = recorder.journal.job(job.number)
    assert [step.number for step in steps(recorder.journal, entry)] == list(range(1, 3001))
    assert retell(recorder.journal, entry).rows == job.ledger()


def test_what_stayed_says_why_and_what_helps() -> None:
    backend = machine()
    add_process(backend, [0] * 20, flags=dict.fromkeys(range(10), Flag.ISOLATED))
    job = run(backend, Recorder.open(backend), plan_request(backend, request(retry=ONCE)))
    rows = {row["outcome"]: row for row in (row.as_dict(job.plan) for row in job.ledger())}
    assert (rows["moved"]["why"], rows["moved"]["help"]) == (None, None)
    assert (rows["busy"]["why"], rows["busy"]["help"]) == ("held or locked by somebody", "again later")
    stays = [outcome for outcome in Outcome if outcome not in (Outcome.MOVED, Outcome.ALREADY_THERE)]
    assert all(outcome.why for outcome in stays)
