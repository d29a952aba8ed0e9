"""A job from plan to end: chosen pages, passes, pausing, cancelling, and counts that add up after every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numamig.backends.base import MPOL_MF_MOVE
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import HUGE_PAGES, PAGE, Flag
from numamig.backends.simulator.process import Caller
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.events import BatchMoved, JobEnded, JobStarted, PassEnded
from numamig.model.outcome import Outcome
from numamig.model.process import RegionKind
from tests.machines import PID, START, add_process, machine, pages_by_node

NEVER = Retry(RetryMode.NEVER)


def new_job(backend: SimulatorBackend, target: int = 1, **asked: object) -> Job:
    """Without the default limit of calls per second, and with a record in a journal in memory."""
    plan = plan_request(backend, Request(PID, Node(target), **{"most_calls": None, **asked}))  # type: ignore[arg-type]
    return Job(1, backend, plan, Recorder.open(backend).begin(plan))


def finish(job: Job, backend: SimulatorBackend) -> JobSnapshot:
    for _ in run_job(job, backend):
        snapshot = job.snapshot()
        assert snapshot.outcomes.total == snapshot.chosen
    return job.snapshot()


def counts(job: JobSnapshot) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in job.outcomes.items() if pages}


def test_a_job_moves_what_was_asked_for_in_steps() -> None:
    backend = machine()
    backings = add_process(backend, [0] * 1000, [2] * 500, [1] * 100)
    job = new_job(backend, sources=(0,), batch_pages=300)
    assert job.plan.pages == 1000
    done = finish(job, backend)
    assert counts(done) == {"moved": 1000}
    assert (done.steps, done.passes, done.state) == (4, 1, JobState.DONE)
    assert pages_by_node(*backings) == {1: 1100, 2: 500}
    assert done.moved == {(0, 1): 1000}
    assert done.pages_per_second > 0


def test_a_step_is_one_batch_and_no_more() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    job = new_job(backend, batch_pages=128)
    events = job.step()
    assert [type(event) for event in events] == [JobStarted, BatchMoved]
    assert pages_by_node(backing) == {0: 872, 1: 128}
    assert job.state is JobState.HELD


def test_events_tell_the_story_in_order() -> None:
    backend = machine()
    add_process(backend, [0] * 10)
    events = list(run_job(new_job(backend, batch_pages=6), backend))
    assert [type(event) for event in events] == [JobStarted, BatchMoved, BatchMoved, PassEnded, JobEnded]
    moved = [event for event in events if isinstance(event, BatchMoved)]
    assert [(event.start, event.end) for event in moved] == [
        (START, START + 6 * PAGE),
        (START + 6 * PAGE, START + 10 * PAGE),
    ]


def test_pages_are_chosen_when_their_turn_comes_not_before() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 10)
    job = new_job(backend, batch_pages=5)
    job.step()
    backing.node[7] = 2  # somebody else moves it
    backing.node[8] = 255  # and this one is discarded
    done = finish(job, backend)
    assert counts(done) == {"moved": 9}  # page 7 is taken from where it is now
    assert done.moved == {(0, 1): 8, (2, 1): 1}


@pytest.mark.parametrize(("retry", "passes"), [(NEVER, 1), (Retry(passes=2), 2), (Retry(passes=5), 5)])
def test_busy_pages_are_looked_for_again_as_often_as_asked(retry: Retry, passes: int) -> None:
    backend = machine()
    add_process(backend, [0] * 100, flags={10: Flag.ISOLATED, 90: Flag.PINNED})
    done = finish(new_job(backend, batch_pages=30, retry=retry), backend)
    assert counts(done) == {"moved": 98, "busy": 2}
    assert done.passes == passes


def test_a_page_that_is_busy_no_more_moves_in_the_next_pass() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 100, flags={10: Flag.ISOLATED, 11: Flag.ISOLATED, 90: Flag.PINNED})
    job = new_job(backend, retry=Retry(passes=2))
    first = job.step()
    assert isinstance(first[-1], PassEnded)
    assert first[-1].busy_pages == 3
    backing.flags[:] = 0
    done = finish(job, backend)
    assert counts(done) == {"moved": 100}
    assert done.chosen == 100
    assert pages_by_node(backing) == {1: 100}


def test_busy_pages_that_went_elsewhere_are_asked_once_more() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 10, flags=dict.fromkeys((1, 3, 5, 7), Flag.ISOLATED))
    job = new_job(backend, sources=(0,), retry=Retry(passes=2))
    job.step()
    backing.flags[:] = 0
    backing.node[1] = 1  # moved by somebody else to where it should be
    backing.node[3] = 255  # discarded
    backing.node[5] = 2  # moved by somebody else to a third node: not on a source, and not there
    done = finish(job, backend)
    assert counts(done) == {"moved": 7, "already_there": 1, "absent": 1, "busy": 1}
    assert done.chosen == 10


def test_cancelling_keeps_what_moved_and_books_the_rest_as_not_tried() -> None:
    backend = machine()
    backing, _ = add_process(backend, [0] * 1000, [2] * 100)
    job = new_job(backend, batch_pages=100)
    job.step()
    (ended,) = job.cancel()
    assert isinstance(ended, JobEnded)
    assert counts(job.snapshot()) == {"moved": 100, "not_tried": 1000}
    assert job.state is JobState.CANCELLED
    assert job.step() == []
    assert pages_by_node(backing) == {0: 900, 1: 100}


def test_until_goes_on_until_nothing_is_busy() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 100, flags=dict.fromkeys(range(30), Flag.ISOLATED))
    job = new_job(backend, retry=Retry(RetryMode.UNTIL, backoff_ns=10**9, deadline_ns=100 * 10**9))
    for _ in run_job(job, backend):
        if backend.clock.now_ns() > 20 * 10**9:
            backing.flags[:30] = 0
    done = job.snapshot()
    assert counts(done) == {"moved": 100}
    # 1 s and then 2 s between passes: the twelfth begins at 21 s, and the one after it finds nothing busy any more.
    assert done.passes == 13


def test_until_gives_up_at_its_deadline() -> None:
    backend = machine()
    add_process(backend, [0] * 100, flags=dict.fromkeys(range(30), Flag.ISOLATED))
    done = finish(new_job(backend, retry=Retry(RetryMode.UNTIL, backoff_ns=10**9, deadline_ns=8 * 10**9)), backend)
    assert counts(done) == {"moved": 70, "busy": 30}
    assert done.passes == 5  # after 0, 1, 3, 5 and 7 s; a further one would begin at 9 s
    assert backend.clock.now_ns() < 8 * 10**9


def test_a_paused_job_goes_on_where_it_was() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    job = new_job(backend, batch_pages=100)
    steps = 0

    def wanted() -> bool:
        nonlocal steps
        steps += 1
        return steps <= 3

    list(run_job(job, backend, wanted))
    assert job.state is JobState.HELD
    assert pages_by_node(backing) == {0: 700, 1: 300}
    assert counts(finish(job, backend)) == {"moved": 1000}


def test_a_full_target_takes_what_fits() -> None:
    backend = machine(1 << 18, 250)
    (backing,) = add_process(backend, [0] * 1000)
    done = finish(new_job(backend, reserve_bytes=0, batch_pages=100), backend)
    assert counts(done) == {"moved": 250, "no_room": 50, "not_tried": 700}
    assert (done.state, done.reason) == (JobState.STOPPED, "the target node is full")
    assert pages_by_node(backing) == {0: 750, 1: 250}


def test_a_process_that_ends_takes_its_pages_with_it() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    job = new_job(backend, batch_pages=100)
    job.step()
    backend.machine.end(PID)
    job.step()
    assert counts(job.snapshot()) == {"moved": 100, "gone": 900}
    assert job.state is JobState.STOPPED


def test_a_new_process_with_the_same_pid_is_left_alone() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    job = new_job(backend, batch_pages=100)
    job.step()
    backend.machine.end(PID)
    (stranger,) = add_process(backend, [0] * 1000, start_time=2000)
    job.step()
    assert pages_by_node(stranger) == {0: 1000}
    assert counts(job.snapshot()) == {"moved": 100, "gone": 900}


def test_huge_pages_are_moved_whole_whatever_the_batch() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 4 * HUGE_PAGES, huge=True)
    done = finish(new_job(backend, batch_pages=100), backend)
    assert counts(done) == {"moved": 4 * HUGE_PAGES}
    assert done.steps == 4
    assert pages_by_node(backing) == {1: 4 * HUGE_PAGES}


def test_ranges_and_kinds_limit_what_is_chosen() -> None:
    backend = machine()
    first, second = add_process(backend, [0] * 100, [0] * 100)
    backend.machine.processes[PID].regions[1].kind = RegionKind.FILE
    finish(new_job(backend, kinds=frozenset({RegionKind.FILE})), backend)
    assert (pages_by_node(first), pages_by_node(second)) == ({0: 100}, {1: 100})
    finish(new_job(backend, within=[(START + 10 * PAGE, START + 20 * PAGE)]), backend)
    assert pages_by_node(first) == {0: 90, 1: 10}
    assert first.node[10:20].tolist() == [1] * 10


def test_a_rate_is_kept_in_the_time_of_the_machine() -> None:
    backend = machine()
    add_process(backend, [0] * 25_600)
    done = finish(new_job(backend, rate=100 << 20), backend)
    assert counts(done) == {"moved": 25_600}
    assert done.busy_ns == pytest.approx(10**9, rel=0.05)


def test_a_budget_steers_the_size_of_batches() -> None:
    backend = machine()
    add_process(backend, [0] * 100_000)
    done = finish(new_job(backend, batch_pages=64, budget_ns=5_000_000), backend)
    assert counts(done) == {"moved": 100_000}
    assert sorted(done.call_ns)[len(done.call_ns) // 2] == pytest.approx(4_250_000, rel=0.2)


def test_a_process_that_ends_in_a_later_pass_takes_its_busy_pages_with_it() -> None:
    backend = machine()
    add_process(backend, [0] * 100, flags=dict.fromkeys(range(30), Flag.ISOLATED))
    job = new_job(backend, batch_pages=40, retry=Retry(passes=3))
    while job.snapshot().passes == 1:
        job.step()
    backend.machine.end(PID)
    job.step()
    assert counts(job.snapshot()) == {"moved": 70, "gone": 30}
    assert job.snapshot().chosen == 100


class Locked(SimulatorBackend):
    """Its kernel refuses everything after some moving calls, as for a process that changed its user."""

    def __init__(self, inner: SimulatorBackend, calls: int) -> None:
        super().__init__(inner.machine)
        self.calls = calls

    def move_pages(self, pid, addresses, nodes, flags=MPOL_MF_MOVE):  # type: ignore[no-untyped-def]
        if nodes is not None and len(addresses):
            self.calls -= 1
        if self.calls < 0:
            self.machine.caller = Caller("nobody", sys_nice=False, sys_ptrace=False, sys_admin=False)
        return super().move_pages(pid, addresses, nodes, flags)


def test_rights_that_are_lost_end_the_job_with_a_true_account() -> None:
    backend = Locked(machine(), 2)
    (backing,) = add_process(backend, [0] * 1000, user="ada")
    done = finish(new_job(backend, batch_pages=100), backend)
    assert counts(done) == {"moved": 200, "refused": 100, "not_tried": 700}
    assert done.state is JobState.STOPPED
    assert pages_by_node(backing) == {0: 800, 1: 200}


def test_a_state_that_ended_is_never_left() -> None:
    backend = machine()
    add_process(backend, [0] * 100)
    job = new_job(backend)
    job.cancel()
    job.run()
    assert job.state is JobState.CANCELLED
    job.hold()
    assert job.state is JobState.CANCELLED


def test_two_ranges_within_one_huge_page_are_no_reason_to_lose_what_follows() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 4 * HUGE_PAGES, huge=True)
    within = [(START, START + 100 * PAGE), (START + 200 * PAGE, START + 4 * HUGE_PAGES * PAGE)]
    job = new_job(backend, within=within, batch_pages=10_000)
    assert job.plan.pages == 4 * HUGE_PAGES
    assert counts(finish(job, backend)) == {"moved": 4 * HUGE_PAGES}
    assert pages_by_node(backing) == {1: 4 * HUGE_PAGES}


@pytest.mark.parametrize("batch", [1, 100, 600])
def test_a_marked_huge_page_in_which_a_range_begins_is_no_trap(batch: int) -> None:
    caller = Caller("ada", sys_nice=False, sys_ptrace=False, sys_admin=False, trace=False)
    backend = machine(kernel="linux-6.1", caller=caller)
    (backing,) = add_process(backend, [0] * 2 * HUGE_PAGES, huge=True, user="ada")
    backing.flags[:HUGE_PAGES] |= np.uint8(Flag.HINTED)
    job = new_job(backend, within=[(START + 300 * PAGE, START + 2 * HUGE_PAGES * PAGE)], batch_pages=batch)
    assert counts(finish(job, backend)) == {"moved": HUGE_PAGES, "hinted": HUGE_PAGES}


def test_pages_whose_node_is_hidden_are_not_left_in_silence() -> None:
    caller = Caller("ada", sys_nice=False, sys_ptrace=False, sys_admin=False)
    backend = machine(kernel="linux-6.1", caller=caller)
    add_process(backend, [0] * 100, flags=dict.fromkeys(range(40), Flag.HINTED), user="ada")
    plan = plan_request(backend, Request(PID, Node(1), sources=(0,)))
    assert plan.pages == 60
    assert [finding.check for finding in plan.warnings] == ["hinted"]


@pytest.mark.parametrize(("trace", "moved"), [(True, 100), (False, 60)])
def test_pages_whose_node_is_hidden_are_looked_at_again_without_their_marks(trace: bool, moved: int) -> None:
    caller = Caller("ada", sys_nice=False, sys_ptrace=False, sys_admin=False, trace=trace)
    backend = machine(kernel="linux-6.1", caller=caller)
    layout = [0] * 100 + [2] * 20
    flags = dict.fromkeys([*range(40), *range(110, 120)], Flag.HINTED)
    (backing,) = add_process(backend, layout, flags=flags, user="ada")
    job = new_job(backend, sources=(0,), batch_pages=16)
    assert counts(finish(job, backend)) == {"moved": moved}
    assert pages_by_node(backing)[2] == 20


def test_nothing_to_do_is_done_at_once() -> None:
    backend = machine()
    add_process(backend, [1] * 10)
    done = finish(new_job(backend), backend)
    assert (done.chosen, done.state) == (0, JobState.DONE)


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (Request(9, Node(1)), TargetGone, "no process with pid 9"),
        (Request(PID, Node(7)), UsageError, "node 7 does not exist"),
        (Request(PID, Node(1), sources=(7,)), UsageError, "node 7 does not exist"),
        (Request(PID, Node(1), sources=(1,)), UsageError, "same node"),
        (Request(2, Node(1)), RefusedError, "kernel thread"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_moves(request_: Request, error: type[Exception], words: str) -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 10)
    add_process(backend, pid=2, kernel_thread=True)
    with pytest.raises(error, match=words):
        plan_request(backend, request_)
    assert pages_by_node(backing) == {0: 10}


@settings(max_examples=60, deadline=None)
@given(
    nodes=st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=300),
    states=st.dictionaries(
        st.integers(0, 299), st.sampled_from([Flag.PINNED, Flag.ISOLATED, Flag.HINTED, Flag.SWAPPED])
    ),
    shared=st.sets(st.integers(0, 299), max_size=20),
    room=st.integers(1, 400),
    batch=st.integers(1, 64),
    passes=st.integers(1, 3),
    kernel=st.sampled_from(["linux-6.1", "linux-6.12"]),
)
def test_no_page_is_lost_and_outcomes_add_up(
    nodes: list[int], states: dict[int, Flag], shared: set[int], room: int, batch: int, passes: int, kernel: str
) -> None:
    backend = machine(1 << 18, room + nodes.count(1), 1 << 18, kernel=kernel)
    present = {
        page: flag
        for page, flag in states.items()
        if page < len(nodes) and (nodes[page] != 255) != (flag == Flag.SWAPPED)
    }
    (backing,) = add_process(backend, nodes, flags=present)
    backing.sharers[[page for page in shared if page < len(nodes)]] = 2
    before = backing.node.copy()
    done = finish(new_job(backend, sources=(0, 2), batch_pages=batch, retry=Retry(passes=passes)), backend)
    after = backing.node
    assert ((before == 255) == (after == 255)).all()
    moved = int(((before != after) & (after == 1)).sum())
    assert done.outcomes[Outcome.MOVED] == moved
    assert (after[before == 1] == 1).all()
    assert done.chosen == int(np.isin(before, (0, 2)).sum())
    assert backend.machine.nodes[1].free_pages >= 0
    if done.state is JobState.DONE:
        again = finish(new_job(backend, sources=(0, 2), retry=NEVER), backend)
        assert again.outcomes[Outcome.MOVED] == 0
