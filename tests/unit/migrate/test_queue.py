"""Many jobs: their order, what is asked of them, and what one of them does to the others."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from numamig.backends.base import Hold, MovePagesReturn
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.errors import TargetGone, UsageError
from numamig.migrate import moved
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from numamig.model.events import BatchMoved, JobAdded, JobAsked, JobEnded, JobFailed, JobStarted, JobVerified
from numamig.model.process import Process
from tests.machines import PID, START, add_process, machine, pages_by_node

PAGE = 4096


def request(pid: int = PID, target: int = 1, **asked: object) -> Request:
    return Request(pid, Node(target), **{"most_calls": None, "batch_pages": 100, **asked})  # type: ignore[arg-type]


def add(queue: JobQueue, backend: SimulatorBackend, pid: int = PID, target: int = 1, **asked: object) -> int:
    return queue.add(plan_request(backend, request(pid, target, **asked)))


def run_all(queue: JobQueue) -> list[int]:
    """Which job was stepped, time after time, until none wants a step."""
    stepped = []
    while (number := queue.claim()) is not None:
        stepped.append(number)
        queue.step(number)
    return stepped


def test_jobs_are_stepped_in_their_order_and_by_priority() -> None:
    backend = machine()
    backings = [add_process(backend, [0] * 300, pid=pid)[0] for pid in (10, 20, 30)]
    queue = JobQueue(backend)
    first, second, third = (add(queue, backend, pid) for pid in (10, 20, 30))
    queue.prioritise(third, 5)
    queue.shift(second, -1)
    for number in (first, second, third):
        queue.run(number)
    assert run_all(queue) == [third] * 3 + [second] * 3 + [first] * 3
    assert [job.number for job in queue.snapshots()] == [second, first, third]
    assert all(pages_by_node(backing) == {1: 300} for backing in backings)


def test_a_job_that_fails_leaves_the_others() -> None:
    class Faulty(SimulatorBackend):
        def move_pages(self, pid, addresses, nodes, flags=2) -> MovePagesReturn:  # type: ignore[no-untyped-def]
            if pid == 10 and nodes is not None:
                raise OSError("a defect")
            return super().move_pages(pid, addresses, nodes, flags)

    backend = Faulty(machine().machine)
    add_process(backend, [0] * 300, pid=10)
    (other,) = add_process(backend, [0] * 300, pid=20)
    queue = JobQueue(backend)
    follower = queue.stream.follow()
    bad, good = add(queue, backend, 10), add(queue, backend, 20)
    queue.run(bad)
    queue.run(good)
    with pytest.raises(OSError, match="a defect"):
        queue.step(bad)
    assert queue.snapshot(bad).state is JobState.HELD
    assert run_all(queue) == [good] * 3
    assert pages_by_node(other) == {1: 300}
    failed = [event for event in follower.news() if isinstance(event, JobFailed)]
    assert [(event.job, event.error) for event in failed] == [(bad, "a defect")]


def test_what_had_no_turn_yet_goes_to_another_node() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    queue = JobQueue(backend)
    number = add(queue, backend)
    queue.step(number)
    queue.step(number)
    queue.retarget(number, Node(2))
    queue.run(number)
    run_all(queue)
    assert backing.node.tolist() == [1] * 200 + [2] * 800
    job = queue.snapshot(number)
    assert job.moved == {(0, 1): 200, (0, 2): 800}
    assert job.outcomes.total == job.chosen == 1000
    with pytest.raises(UsageError, match="node 7 does not exist"):
        queue.retarget(number, Node(7))


def test_what_is_cancelled_is_taken_back_by_a_job_of_its_own() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    queue = JobQueue(backend)
    number = add(queue, backend)
    for _ in range(4):
        queue.step(number)
    queue.cancel(number)
    assert run_all(queue) == [number]
    assert queue.snapshot(number).state is JobState.CANCELLED
    back = queue.add_undo(number)
    queue.run(back)
    run_all(queue)
    assert pages_by_node(backing) == {0: 1000}
    acts = [what for _, what, *_ in queue.recorder.journal.acts(number)]
    assert acts == [*["step"] * 4, "cancel"]


def test_events_are_one_stream_in_order_for_everybody() -> None:
    backend = machine()
    add_process(backend, [0] * 200)
    queue = JobQueue(backend)
    one, two = queue.stream.follow(), queue.stream.follow()
    number = add(queue, backend)
    queue.run(number)
    run_all(queue)
    told = one.news()
    kinds = [type(event) for event in told]
    assert kinds[:4] == [JobAdded, JobAsked, JobStarted, BatchMoved] and kinds[-2:] == [JobEnded, JobVerified]
    assert two.news() == told and one.news() == [] and one.missed == 0
    assert all(event.job == number for event in told)


def test_who_does_not_listen_in_time_hears_how_much_was_missed() -> None:
    queue = JobQueue(machine())
    follower = queue.stream.follow()
    queue.stream.publish([JobAsked(1, n, "run") for n in range(5000)])
    news = follower.news()
    assert len(news) + follower.missed == 5000 and follower.missed > 0
    assert news[-1] == JobAsked(1, 4999, "run")


def test_memory_that_overlaps_is_never_moved_by_two_jobs_at_once() -> None:
    backend = machine()
    add_process(backend, [0] * 300)
    add_process(backend, [0] * 300, pid=20)
    queue = JobQueue(backend, at_once=3)
    low, high = (START, START + 100 * PAGE), (START + 100 * PAGE, START + 300 * PAGE)
    first = add(queue, backend, within=[low])
    whole = add(queue, backend)
    apart = add(queue, backend, within=[high])
    other = add(queue, backend, 20)
    for number in (first, whole, apart, other):
        queue.run(number)
    assert [queue.claim() for _ in range(4)] == [first, apart, other, None]
    queue.release(first)
    queue.release(other)
    queue.hold(first)
    assert queue.claim() == other  # the whole one must still wait


def test_nothing_is_begun_while_a_call_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, entered = threading.Event(), threading.Event()

    class Hanging(SimulatorBackend):
        def move_pages(self, pid, addresses, nodes, flags=2) -> MovePagesReturn:  # type: ignore[no-untyped-def]
            if pid == 10 and nodes is not None:
                entered.set()
                hangs.wait(30)
            return super().move_pages(pid, addresses, nodes, flags)

    backend = Hanging(machine().machine)
    add_process(backend, [0] * 300, pid=10)
    add_process(backend, [0] * 300, pid=20)
    queue = JobQueue(backend, at_once=2)
    stuck, other = add(queue, backend, 10), add(queue, backend, 20)
    queue.run(stuck)
    queue.run(other)
    thread = threading.Thread(target=queue.step, args=(queue.claim(),))
    thread.start()
    try:
        assert entered.wait(10)
        assert queue.next_running() == other
        backend.machine.timeline.advance_to(10_000_000_000)
        assert queue.next_running() is None
        since = queue.snapshot(stuck).call_since_ns
        assert since is not None and backend.clock.now_ns() - since > 5_000_000_000
        queue.cancel(stuck)  # heard, and obeyed when the call is back
        assert queue.snapshot(stuck).state is JobState.RUNNING
    finally:
        hangs.set()
        thread.join(10)
    assert queue.claim() == stuck
    queue.step(stuck)
    assert queue.snapshot(stuck).state is JobState.CANCELLED
    assert run_all(queue)[0] == other


def test_one_writer_for_each_process() -> None:
    backend = machine()
    add_process(backend, [0] * 300)
    queue = JobQueue(backend)
    number = add(queue, backend)
    queue.step(number)
    image = queue.recorder.journal.job(number).image
    assert queue.recorder.locks.holder(image) is not None
    queue.cancel(number)
    run_all(queue)
    assert queue.recorder.locks.holder(image) is None


def test_an_unknown_job() -> None:
    queue = JobQueue(machine())
    with pytest.raises(UsageError, match="no job 3"):
        queue.run(3)


def test_rights_that_were_taken_away_meanwhile_stop_a_paused_job() -> None:
    backend = machine()
    (backing,) = add_process(backend, np.zeros(300, np.uint8), user="ada")
    queue = JobQueue(backend)
    number = add(queue, backend)
    queue.step(number)
    process = backend.machine.processes[PID]
    process.mems_allowed = frozenset({0})
    queue.step(number)
    job = queue.snapshot(number)
    assert job.state is JobState.STOPPED and "cpuset" in job.reason and job.remedy
    assert pages_by_node(backing) == {0: 200, 1: 100}
    assert job.outcomes.total == 300


def test_what_a_job_moved_is_looked_at_once_more_when_it_has_ended() -> None:
    backend = machine()
    add_process(backend, [0] * 300)
    queue = JobQueue(backend)
    follower = queue.stream.follow()
    number = add(queue, backend)
    queue.run(number)
    run_all(queue)
    verified = follower.news()[-1]
    assert isinstance(verified, JobVerified)
    assert (verified.job, verified.expected, verified.in_place, verified.elsewhere) == (number, 300, 300, {})
    seen = queue.verified(number)
    assert seen is not None and (seen.in_place, seen.absent) == (300, 0)


def test_what_is_not_where_it_was_moved_to_is_told() -> None:
    class Unsteady(SimulatorBackend):
        """Somebody else moves some pages away right behind each call."""

        def move_pages(self, pid, addresses, nodes, flags=2) -> MovePagesReturn:  # type: ignore[no-untyped-def]
            answer = super().move_pages(pid, addresses, nodes, flags)
            if nodes is not None:
                self.machine.relocate(backing, slice(0, 10), 2)
            return answer

    backend = Unsteady(machine().machine)
    (backing,) = add_process(backend, [0] * 300)
    queue = JobQueue(backend)
    number = add(queue, backend)
    queue.step(number)
    queue.cancel(number)
    run_all(queue)
    seen = queue.verified(number)
    assert seen is not None and (seen.in_place, dict(seen.elsewhere)) == (90, {2: 10})


def test_that_nobody_can_look_any_more_is_no_failure_of_the_job() -> None:
    class Short(SimulatorBackend):
        """It can be held on to once, by the job."""

        holds = 0

        def hold(self, process: Process) -> Hold:
            self.holds += 1
            if self.holds > 1:
                raise TargetGone("it has ended")
            return super().hold(process)

    backend = Short(machine().machine)
    add_process(backend, [0] * 300)
    queue = JobQueue(backend)
    number = add(queue, backend)
    queue.run(number)
    run_all(queue)
    assert queue.snapshot(number).state is JobState.DONE and queue.verified(number) is None


def test_of_a_large_job_some_batches_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved, "MOST_VERIFIED_PAGES", 400)
    backend = machine()
    add_process(backend, [0] * 1000)
    queue = JobQueue(backend)
    number = add(queue, backend)
    queue.run(number)
    run_all(queue)
    seen = queue.verified(number)
    assert seen is not None and seen.expected == seen.in_place == 400


def test_who_times_a_job_need_not_have_it_verified() -> None:
    backend = machine()
    add_process(backend, [0] * 300)
    queue = JobQueue(backend, verifies=False)
    number = add(queue, backend)
    queue.run(number)
    run_all(queue)
    assert queue.verified(number) is None
