"""A state machine that plans, moves, waits and cancels in any order, on a machine on which others act too.

Derandomized, so that every run does the same: the same examples, and so the same time. To look further than usual:
``NUMAMIG_STATEFUL_EXAMPLES=1000``, which draws anew each time.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from numamig.backends.base import UNWRITTEN, MovePagesReturn
from numamig.backends.simulator.memory import ABSENT, PAGE, Flag
from numamig.errors import UsageError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobState
from numamig.migrate.undo import Undoing, can_be_taken_back, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from tests.stateful.world import MS, NODES, PIDS, World

_EXAMPLES = int(os.environ.get("NUMAMIG_STATEFUL_EXAMPLES", "0"))
_SETTINGS = settings(
    max_examples=_EXAMPLES or 45,
    stateful_step_count=30,
    deadline=None,
    derandomize=not _EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
    # A failure is 30 rules at most; to have it made shorter takes minutes.
    phases=(Phase.generate, Phase.shrink) if _EXAMPLES else (Phase.generate,),
)

sources = st.one_of(st.none(), st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 3)]))


class Machine(RuleBasedStateMachine):
    """Rules act; after each, everything that must be true is."""

    kernel = ""
    undone: Counter[bool]
    """Jobs that were taken back with nobody else acting since they began: whether in whole."""

    @initialize(actors=st.sampled_from(["all", "none", "all but balancing"]))
    def begin(self, actors: str) -> None:
        self.world = World(self.kernel, balancing=actors == "all", others=actors != "none")

    def teardown(self) -> None:
        self.world.close()

    # Through the engine

    @rule(
        pid=st.sampled_from(PIDS),
        to=st.sampled_from(NODES),
        sources=sources,
        batch=st.sampled_from([25, 64, 512, 4096]),
        shared=st.booleans(),
        threads=st.sampled_from([1, 1, 3]),
        retry=st.sampled_from([Retry(RetryMode.NEVER), Retry(), Retry(passes=2)]),
        then=st.sampled_from(["run", "run", "step", "hold", "undo"]),
    )
    def plan(
        self,
        pid: int,
        to: int,
        sources: tuple[int, ...] | None,
        batch: int,
        shared: bool,
        threads: int,
        retry: Retry,
        then: str,
    ) -> None:
        if pid not in self.world.machine.processes or (sources is not None and set(sources) <= {to}):
            return
        request = Request(
            pid, Node(to), sources=sources, shared=shared, batch_pages=batch, threads=threads, retry=retry
        )
        world = self.world
        plan = plan_request(world.backend, request)
        assert plan.pages == world.selected(pid, sources, to)
        job = world.begin(plan)
        if then == "run":
            self._run(job)
        elif then == "undo":
            self._run(job)
            self._take_back(job)
        elif then == "step":
            self._step(job, 2)

    @precondition(lambda self: self.world.jobs)
    @rule(number=st.integers(0, 50), steps=st.integers(1, 4))
    def go_on(self, number: int, steps: int) -> None:
        self._step(self.world.jobs[number % len(self.world.jobs)], steps)

    @precondition(lambda self: self.world.jobs)
    @rule(number=st.integers(0, 50))
    def finish(self, number: int) -> None:
        self._run(self.world.jobs[number % len(self.world.jobs)])

    def _step(self, job: Job, steps: int) -> None:
        for _ in range(steps):
            self._watched(job)

    def _run(self, job: Job) -> None:
        world = self.world
        if job.state.ended:
            return
        acted = world.acted()
        list(run_job(job, world.backend))
        done = job.snapshot()
        there = done.outcomes[Outcome.MOVED] + done.outcomes[Outcome.ALREADY_THERE]
        if done.state is JobState.DONE and there == done.chosen and acted == world.acted():
            again = plan_request(world.backend, job.request)
            assert again.pages == 0, "there is something left to plan after success"

    @precondition(lambda self: self.world.jobs)
    @rule(number=st.integers(0, 50))
    def cancel(self, number: int) -> None:
        job = self.world.jobs[number % len(self.world.jobs)]
        job.cancel()
        assert job.state.ended

    @precondition(lambda self: self.world.jobs)
    @rule(number=st.one_of(st.just(-1), st.integers(0, 50)))
    def undo(self, number: int) -> None:
        self._take_back(self.world.jobs[number % len(self.world.jobs)])

    def _take_back(self, job: Job) -> None:
        """A job, or one that took another back; where nobody else moved anything, all is as it was."""
        world = self.world
        if job.request.pid not in world.machine.processes:
            return
        job.cancel()
        undoing = Undoing(world.journal, world.journal.job(job.number))
        if not can_be_taken_back(world.journal, undoing.job):
            with pytest.raises(UsageError):
                plan_undo(world.backend, undoing)
            return
        alone, before, after = not world.moved_by_others(job), world.before[job.number].node, world.placement()
        back = world.begin(plan_undo(world.backend, undoing), choose_to_undo(undoing))
        list(run_job(back, world.backend))
        if not alone or world.moved_by_others(job, back):
            return
        done = back.snapshot()
        whole = done.outcomes[Outcome.MOVED] == job.snapshot().outcomes[Outcome.MOVED]
        self.undone[whole] += 1
        for key, node in world.placement().items():
            assert ((node == before[key]) | (node == after[key])).all(), "undo puts pages where they never were"
            assert not whole or (node == before[key]).all(), "undo does not restore the placement"

    def _watched(self, job: Job) -> None:
        """A step; where nobody else moved anything meanwhile, its account is what the page tables show."""
        world, target = self.world, job.request.to.nodes[0]
        before, acted, there = job.snapshot(), world.acted(), world.at(target)
        moved = int(world.machine.moved_pages.sum())
        job.step()
        after = job.snapshot()
        if acted == world.acted():
            gained = after.outcomes[Outcome.MOVED] - before.outcomes[Outcome.MOVED]
            assert gained == world.at(target) - there == int(world.machine.moved_pages.sum()) - moved

    # Calls as they are

    def _call(self, pid: int, address: np.ndarray, nodes: np.ndarray | None, flags: int) -> MovePagesReturn:
        return self.world.backend.move_pages(pid, address, nodes, flags)

    @rule(
        pid=st.sampled_from(PIDS),
        region=st.integers(0, 2),
        pages=st.lists(st.integers(-2, 3100), min_size=1, max_size=60),
        to=st.sampled_from([*NODES, 9]),
        flags=st.sampled_from([2, 4]),
        sort=st.booleans(),
    )
    def move_pages(self, pid: int, region: int, pages: list[int], to: int, flags: int, sort: bool) -> None:
        if pid not in self.world.machine.processes:
            return
        regions = self.world.machine.processes[pid].regions
        start = regions[region % len(regions)].start
        pages = sorted(set(pages)) if sort else pages
        address = (start + np.array(pages) * PAGE).astype(np.uint64)
        answer = self._call(pid, address, np.full(len(address), to, np.int32), flags)
        assert to in NODES or answer.returned == -1
        assert set(answer.status[answer.status >= 0].tolist()) <= {to}
        assert (answer.status != UNWRITTEN).all() or answer.returned != 0

    @rule(pid=st.sampled_from(PIDS))
    def ask(self, pid: int) -> None:
        """A query answers the page tables; where marks hide pages, it says that they are not there."""
        if pid not in self.world.machine.processes:
            return
        hides = not self.world.machine.kernel.sees_hinted
        for region in self.world.machine.processes[pid].regions:
            self.world.backend.clock.sleep_ns(0)  # up to the time of who asks, until when others act
            address = (region.start + np.arange(region.pages) * PAGE).astype(np.uint64)
            node, flags = region.backing.node.copy(), region.backing.flags.copy()
            status = self._call(pid, address, None, 2).status
            hidden = (flags & np.uint8(Flag.HINTED) != 0) & hides
            seen = (node != ABSENT) & ~hidden
            assert (status[seen] == node[seen]).all() and (status[~seen] < 0).all()

    @rule(pid=st.sampled_from(PIDS), region=st.integers(0, 2), to=st.sampled_from(NODES))
    def there_and_back(self, pid: int, region: int, to: int) -> None:
        """Moved away and back by hand, pages are where they were."""
        world = self.world
        if pid not in world.machine.processes:
            return
        regions = world.machine.processes[pid].regions
        chosen = regions[region % len(regions)]
        backing = chosen.backing
        acted, before = world.acted(), backing.node.copy()
        large = backing.flags & np.uint8(Flag.LARGE) != 0
        pages = np.flatnonzero((before != ABSENT) & (~large | (np.arange(len(before)) % backing.folio_pages == 0)))
        address = (chosen.start + pages * PAGE).astype(np.uint64)
        away = self._call(pid, address, np.full(len(pages), to, np.int32), 4)
        if away.errno:
            return  # no room: large folios may have come apart on the way
        order = np.argsort(before[pages], kind="stable")  # not more runs than there are nodes
        back = self._call(pid, address[order], before[pages][order].astype(np.int32), 4)
        held = backing.flags[pages] & np.uint8(Flag.PINNED | Flag.ISOLATED) != 0
        if acted == world.acted() and not back.errno and not held.any():
            marked = backing.flags & np.uint8(Flag.HINTED) != 0  # meanwhile; on 6.1 those cannot be moved back
            assert (backing.node == before)[~marked].all(), "moving back does not restore the placement"

    @rule(pid=st.sampled_from(PIDS))
    def clear_marks(self, pid: int) -> None:
        if pid not in self.world.machine.processes:
            return
        for region in self.world.machine.processes[pid].regions:
            marked = np.flatnonzero(region.backing.flags & np.uint8(Flag.HINTED) != 0)
            assert self.world.backend.clear_hints(pid, (region.start + marked * PAGE).astype(np.uint64))
            assert not (region.backing.flags & np.uint8(Flag.HINTED)).any()

    # The others

    @rule(duration=st.sampled_from([1, 100_000, 2 * MS, 15 * MS, 50 * MS]))
    def wait(self, duration: int) -> None:
        before = self.world.backend.clock.now_ns()
        self.world.backend.clock.sleep_ns(duration)
        assert self.world.backend.clock.now_ns() == before + duration

    @rule(node=st.sampled_from(NODES), free=st.sampled_from([40, 0, 100, 700, 3000]))
    def others_take_memory(self, node: int, free: int) -> None:
        self.world.fill(node, free)

    @precondition(lambda self: len(self.world.machine.processes) == len(PIDS) and self.world.jobs)
    @rule()
    def end(self) -> None:
        self.world.end(PIDS[-1])

    @invariant()
    def everything_is_true(self) -> None:
        self.world.check()


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_whatever_is_done_the_machine_stays_true(kernel: str) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    undone: Counter[bool] = Counter()
    machine = type("Machine", (Machine,), {"kernel": kernel, "undone": undone})
    run_state_machine_as_test(machine, settings=_SETTINGS)
    assert undone[True] >= 5, "undo was hardly tried"
