"""What was done by hand, written down and done again on the same machine: every page ends where it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Flag
from numamig.errors import UsageError
from numamig.migrate.destination import Destination, FollowCpus, Interleave, Node, NodeMap, interleave
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.order_mode import Order, OrderMode
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from numamig.model.process import RegionKind
from numamig.replay.load import parse_profile
from numamig.replay.record import Recording, record, write_profile
from numamig.replay.run import run_profile
from tests.machines import START, add_process, machine

PIDS = (100, 200, 300)


def world() -> SimulatorBackend:
    """Three processes, two of one name; some pages are pinned, some mapped by others too."""
    backend = machine(kernel="linux-6.1")
    rng = np.random.default_rng(11)
    for pid, name in zip(PIDS, ("db", "db", "web"), strict=True):
        layout = rng.integers(0, 3, 700).astype(np.uint8)
        (backing,) = add_process(backend, layout, pid=pid, cpu_nodes=(pid // 100 - 1,))
        backend.machine.processes[pid].name = name
        backing.flags[rng.integers(0, 700, 9)] |= np.uint8(Flag.PINNED)
        backing.sharers[rng.integers(0, 700, 30)] = 2
    return backend


def placement(backend: SimulatorBackend) -> NDArray[np.uint8]:
    """Node of every page of every process, from the page tables."""
    regions = [region for pid in PIDS for region in backend.machine.process(pid).regions]
    return np.concatenate([region.backing.node for region in regions])


class Operator:
    """Does things to a machine as somebody at a console does."""

    def __init__(self) -> None:
        self.backend = world()
        self.recorder = Recorder.open(self.backend)

    def move(
        self, pid: int, to: Destination, stop_after: int | None = None, sent_to: int | None = None, **asked: object
    ) -> int:
        request = Request(pid, to, most_calls=None, **{"batch_pages": 64, **asked})  # type: ignore[arg-type]
        plan = plan_request(self.backend, request)
        record = self.recorder.begin(plan)
        job = Job(record.number, self.backend, plan, record)
        if stop_after is not None:
            for _ in range(stop_after):
                job.step()
            if sent_to is None:
                job.cancel()
            else:
                job.retarget(Node(sent_to), f"retarget to node {sent_to}")
        list(run_job(job, self.backend))
        record.unlock()
        return record.number

    def undo(self, number: int, steps: tuple[int, int] | None = None) -> None:
        journal = self.recorder.journal
        if not journal.job(number).outcomes[Outcome.MOVED]:
            return  # there is nothing to take back
        undoing = Undoing(journal, journal.job(number), steps=steps)
        plan = plan_undo(self.backend, undoing)
        record = self.recorder.begin(plan)
        list(run_job(Job(record.number, self.backend, plan, record, chooses=choose_to_undo(undoing)), self.backend))
        record.unlock()

    def recording(self) -> Recording:
        journal = self.recorder.journal
        return record(journal, journal.jobs(), self.backend.processes(), by_pid=True)


def replayed(recording: Recording) -> SimulatorBackend:
    """A machine as it was in the beginning, after the recording."""
    backend = world()
    profile, document = parse_profile("recorded.yaml", recording.text("again", "simulator", None).encode())
    run_profile(backend, profile, document)
    return backend


STORIES: dict[str, Callable[[Operator], object]] = {
    "one": lambda who: who.move(100, Node(1)),
    "choosy": lambda who: who.move(
        200, Node(2), sources=(0,), kinds=frozenset({RegionKind.ANON}), within=[(START, START + (100 << 12))]
    ),
    "in turn": lambda who: who.move(300, Interleave((0, 2))),
    "weights": lambda who: who.move(300, interleave({0: 1, 1: 5})),
    "swap": lambda who: who.move(100, NodeMap(((0, 1), (1, 0)))),
    "follow": lambda who: who.move(200, FollowCpus()),
    "by lot, some": lambda who: who.move(100, Node(0), order=Order(OrderMode.RANDOM, 9), most_pages=77),
    "with all who map them": lambda who: who.move(100, Node(0), shared=True),
    "once": lambda who: who.move(100, Node(0), retry=Retry(RetryMode.NEVER)),
    "gently": lambda who: who.move(100, Node(0), rate=10 << 20, budget_ns=1_000_000, reserve_bytes=1 << 20),
    "cancelled": lambda who: who.move(100, Node(1), stop_after=2),
    "sent elsewhere": lambda who: who.move(100, Node(1), stop_after=3, sent_to=2),
    "taken back": lambda who: who.undo(who.move(100, Node(1))),
    "taken back in part": lambda who: who.undo(who.move(200, Node(1)), steps=(0, 1)),
    "over and over": lambda who: [who.move(100, Node(node)) for node in (1, 2, 0)],
}


@pytest.mark.parametrize("story", STORIES)
def test_a_recording_does_the_same(story: str) -> None:
    operator = Operator()
    before = placement(operator.backend)
    STORIES[story](operator)
    after = placement(operator.backend)
    assert not np.array_equal(before, after) or story == "taken back"
    assert np.array_equal(placement(replayed(operator.recording())), after)


@given(st.lists(st.sampled_from(sorted(STORIES)), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_so_does_a_recording_of_many(stories: list[str]) -> None:
    operator = Operator()
    for story in stories:
        STORIES[story](operator)
    recording = operator.recording()
    if recording.steps:
        assert np.array_equal(placement(replayed(recording)), placement(operator.backend))


def test_it_reads_as_it_was_asked_for() -> None:
    operator = Operator()
    operator.backend.machine.process(300).regions[0].backing.flags[:] = 0
    number = operator.move(300, Node(1), sources=(0,), batch_pages=512)
    operator.undo(number)
    lines = operator.recording().text("There and back", "simulator", "scenarios/two-sockets.yaml").splitlines()
    assert lines[:5] == [
        "numamig: 1", "title: There and back", "backend: simulator", "scenario: scenarios/two-sockets.yaml", "steps:",
    ]  # fmt: skip
    assert lines[5].startswith("  # job 1: web, to node 1: ") and " moved" in lines[5]
    assert lines[6:10] == [
        "  - migrate:", "      process: {pid: 300, name: web}", "      pages: {from: '0'}", "      to: 1",
    ]  # fmt: skip
    assert lines[-1] == "  - undo: {step: 1}"


def test_on_a_real_machine_a_name_that_means_one_process_is_used() -> None:
    operator = Operator()
    operator.move(300, Node(1))
    operator.move(100, Node(1))
    journal = operator.recorder.journal
    found = record(journal, journal.jobs(), operator.backend.processes(), by_pid=False)
    assert [step["migrate"]["process"] for _, step in found.steps] == [{"name": "web"}, {"pid": 100, "name": "db"}]


def test_what_a_process_calls_itself_cannot_break_the_file() -> None:
    operator = Operator()
    hostile = "x${y}\n  - wait: 9s\n#\x1b[31m: {}"
    operator.backend.machine.processes[300].name = hostile
    operator.move(300, Node(1))
    profile, _ = parse_profile("recorded.yaml", operator.recording().text("t\n: x", "simulator", None).encode())
    (step,) = profile.steps
    assert step.migrate is not None and step.migrate.process is not None and step.migrate.process.name == hostile


def test_nothing_moved_is_nothing_to_write() -> None:
    with pytest.raises(UsageError, match="nothing was moved"):
        Operator().recording().text("empty", "simulator", None)


def test_pages_in_too_many_places_are_no_profile() -> None:
    operator = Operator()
    add_process(operator.backend, [0, 1] * 6000, pid=400)
    operator.move(400, Node(1), stop_after=85)
    with pytest.raises(UsageError, match="places: a profile cannot name so many"):
        operator.recording()


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        write_profile(path, "other")
    assert path.read_text() == "mine"
    with pytest.raises(UsageError, match="cannot be written"):
        write_profile(tmp_path / "no" / "folder.yaml", "other")
