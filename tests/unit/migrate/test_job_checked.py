"""What is looked at before a job goes on: preflight when it has waited, the process before every call."""

from __future__ import annotations

import errno

from numamig.backends.base import MovePagesReturn, RegionPolicy
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Backing
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.packing import unpack_left
from numamig.migrate.journal.record import JobRecord, Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from numamig.model.events import JobChecked, JobEnded, JobStarted
from numamig.model.outcome import Outcome
from tests.machines import PID, add_process, machine, pages_by_node
from tests.unit.migrate.test_plan import Policed

SECOND_NS = 10**9


def policed(pages: int = 1000) -> tuple[Policed, Backing]:
    backend = Policed(machine().machine)
    (backing,) = add_process(backend, [0] * pages)
    return backend, backing


def queue_with_job(backend: SimulatorBackend) -> tuple[JobQueue, int]:
    """100 pages a step, to node 1."""
    queue = JobQueue(backend)
    return queue, queue.add(plan_request(backend, Request(PID, Node(1), most_calls=None, batch_pages=100)))


def step_running(queue: JobQueue, number: int) -> None:
    queue.run(number)
    claimed = queue.claim()
    assert claimed == number
    queue.step(number)


def bind_away(backend: Policed) -> None:
    backend.told = [RegionPolicy(backend.regions(PID)[0].start, "bind:0")]


def test_after_a_pause_all_of_preflight_is_asked() -> None:
    backend, backing = policed()
    queue, number = queue_with_job(backend)
    step_running(queue, number)
    queue.hold(number)
    bind_away(backend)
    step_running(queue, number)
    job = queue.snapshot(number)
    assert job.state is JobState.STOPPED and "bound away" in job.reason and job.remedy
    assert "bound away" in " ".join(finding.reason for finding in job.plan.errors)
    assert pages_by_node(backing) == {0: 900, 1: 100} and job.outcomes.total == 1000


def test_a_job_that_was_held_for_long_is_looked_at_before_its_first_step() -> None:
    for waited_ns, moved in ((9 * SECOND_NS, 100), (11 * SECOND_NS, 0)):
        backend, backing = policed()
        queue, number = queue_with_job(backend)
        follower = queue.stream.follow()
        backend.machine.timeline.advance_to(waited_ns)
        bind_away(backend)
        step_running(queue, number)
        assert int((backing.node == 1).sum()) == moved
        assert any(isinstance(event, JobStarted) for event in follower.news()) == bool(moved)


def test_what_a_job_was_begun_in_spite_of_does_not_stop_it_later() -> None:
    backend, backing = policed()
    bind_away(backend)
    queue, number = queue_with_job(backend)
    assert queue.snapshot(number).plan.errors
    for _ in range(2):
        backend.machine.timeline.advance_to(backend.clock.now_ns() + 11 * SECOND_NS)
        step_running(queue, number)
        queue.hold(number)
    assert int((backing.node == 1).sum()) == 200


def test_a_job_that_is_not_interrupted_is_not_looked_at_again() -> None:
    backend, backing = policed()
    queue, number = queue_with_job(backend)
    asked = backend.asked
    queue.run(number)
    while (claimed := queue.claim()) is not None:
        queue.step(claimed)
    assert pages_by_node(backing) == {1: 1000} and backend.asked == asked


def test_warnings_found_after_a_pause_are_told_and_kept() -> None:
    backend = machine(1 << 18, 1500, 1 << 18)
    add_process(backend, [0] * 1000)
    queue = JobQueue(backend)
    number = queue.add(plan_request(backend, Request(PID, Node(1), most_calls=None, batch_pages=100, reserve_bytes=0)))
    assert "room" not in [finding.check for finding in queue.snapshot(number).plan.warnings]
    step_running(queue, number)
    queue.hold(number)
    add_process(backend, [1] * 800, pid=20)  # 600 of its pages are free now, and 900 are still to move
    follower = queue.stream.follow()
    step_running(queue, number)
    (checked,) = [event for event in follower.news() if isinstance(event, JobChecked)]
    assert "room" in [finding.check for finding in checked.findings]
    assert checked.findings == queue.snapshot(number).plan.warnings
    assert queue.snapshot(number).state is JobState.RUNNING


def test_what_has_moved_already_needs_no_room() -> None:
    backend = machine(1 << 18, 1500, 1 << 18)
    add_process(backend, [0] * 1000)
    queue = JobQueue(backend)
    number = queue.add(plan_request(backend, Request(PID, Node(1), most_calls=None, batch_pages=800, reserve_bytes=0)))
    step_running(queue, number)
    queue.hold(number)
    follower = queue.stream.follow()
    step_running(queue, number)
    assert not [event for event in follower.news() if isinstance(event, JobChecked)]


class Meanwhile(JobRecord):
    """While a batch is being written down the process ends, and its pid is given to another."""

    backend: SimulatorBackend
    at = 1

    def intend(self, *batch: object) -> None:
        super().intend(*batch)  # type: ignore[arg-type]
        self.at -= 1
        if not self.at:
            self.backend.machine.end(PID)
            add_process(self.backend, [0] * 1000, start_time=99)


def test_a_pid_that_is_anothers_by_the_time_of_the_call_is_not_moved() -> None:
    backend = machine()
    add_process(backend, [0] * 1000)
    recorder = Recorder.open(backend)
    plan = plan_request(backend, Request(PID, Node(1), most_calls=None, batch_pages=100))
    begun = recorder.begin(plan)
    record = Meanwhile(recorder, begun.number, begun.image)
    record.backend, record.at = backend, 2
    job = Job(record.number, backend, plan, record)
    job.step()
    events = job.step()
    (other,) = [region.backing for region in backend.machine.process(PID).regions]
    assert pages_by_node(other) == {0: 1000}
    snapshot = job.snapshot()
    assert snapshot.state is JobState.STOPPED and isinstance(events[-1], JobEnded)
    assert (snapshot.outcomes[Outcome.MOVED], snapshot.outcomes[Outcome.GONE], snapshot.chosen) == (100, 900, 1000)
    batch = recorder.journal.batch(record.number, 1)
    assert batch is not None and batch.left is not None
    assert unpack_left(batch.left).pages(4096) == batch.pages == 100


def test_a_pid_that_becomes_anothers_between_two_calls_of_a_batch_is_not_moved() -> None:
    class Replaced(SimulatorBackend):
        """The first call moves half of what it is given, and then the process is another."""

        calls = 0

        def move_pages(self, pid, addresses, nodes, flags=2) -> MovePagesReturn:  # type: ignore[no-untyped-def]
            if nodes is None:
                return super().move_pages(pid, addresses, nodes, flags)
            self.calls += 1
            half = len(addresses) // 2
            answer = super().move_pages(pid, addresses[:half], nodes[:half], flags)
            status = answer.status.copy()
            status.resize(len(addresses))
            status[half:] = -errno.EBUSY
            self.machine.end(PID)
            add_process(self, [0] * 1000, start_time=99)
            return answer._replace(returned=len(addresses) - half, status=status)

    backend = Replaced(machine().machine)
    add_process(backend, [0] * 1000)
    plan = plan_request(backend, Request(PID, Node(1), most_calls=None, batch_pages=100))
    job = Job(1, backend, plan)
    job.step()
    (other,) = [region.backing for region in backend.machine.process(PID).regions]
    assert pages_by_node(other) == {0: 1000} and backend.calls == 1
    snapshot = job.snapshot()
    assert snapshot.state is JobState.STOPPED
    assert (snapshot.outcomes[Outcome.MOVED], snapshot.outcomes[Outcome.GONE]) == (50, 950)
