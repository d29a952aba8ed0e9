"""The census: within its budget, freshest in view, and never wrong-footed by processes that come, go or are locked."""

from __future__ import annotations

from typing import Any

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import PAGE
from numamig.backends.simulator.process import Caller
from numamig.errors import BackendError, RefusedError, TargetGone
from numamig.observe.census import Census, CensusTaker, Identity, Standing
from numamig.observe.placement import Placement
from tests.machines import add_process, machine

SECOND = 10**9


class World:
    """A machine, and the clocks of somebody who looks at it; what a look costs is made up."""

    def __init__(self, *pids: int, backend: SimulatorBackend | None = None, budget: float = 0.02) -> None:
        self.backend = backend or machine()
        self.now = self.spent = 0
        self.list_cost_ns = self.place_cost_ns = 4_000_000
        self.looked: list[tuple[int, int]] = []
        self.fail: dict[int, Exception] = {}
        for pid in pids:
            add_process(self.backend, [0] * pid, pid=pid)
        self.taker = CensusTaker(self, lambda: self.now, lambda: self.spent, budget=budget)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def processes(self) -> Any:
        self.spend(self.list_cost_ns)
        return self.backend.processes()

    def regions(self, pid: int) -> Any:
        self.spend(self.place_cost_ns)
        self.looked.append((self.now, pid))
        if pid in self.fail:
            raise self.fail[pid]
        return self.backend.regions(pid)

    def spend(self, cost_ns: int) -> None:
        self.spent += cost_ns
        self.now += cost_ns

    def look(self, in_view: tuple[Identity, ...] = (), keep: Identity | None = None) -> None:
        """Wait until a look is due, and look."""
        self.now = max(self.now, self.taker.due_ns())
        self.taker.look(self.backend.topology(), in_view, keep)

    def run(self, seconds: float, in_view: tuple[Identity, ...] = ()) -> None:
        until = self.now + round(seconds * SECOND)
        while self.taker.due_ns() < until:
            self.look(in_view)
        self.now = until

    @property
    def census(self) -> Census:
        assert self.taker.latest is not None
        return self.taker.latest

    def identity(self, pid: int) -> Identity:
        return self.backend.process(pid).identity


def test_the_first_round_shows_what_it_has_found_after_each() -> None:
    world = World(10, 20, 30)
    placed = []
    while not (world.taker.latest and world.census.complete):
        world.look()
        placed.append(sum(row.placement is not None for row in world.census.rows))
    assert placed == [0, 1, 2, 3]
    # The largest first; it takes what it needs, and does not wait in between.
    assert [pid for _, pid in world.looked] == [30, 20, 10]
    assert world.now == world.spent
    row = world.census.find(world.identity(30))
    assert row is not None and row.placement == Placement({0: 30 * PAGE})
    assert row.placed_ns > 0


def test_what_is_in_view_comes_first() -> None:
    world = World(10, 20, 30)
    world.look()
    world.look(in_view=(world.identity(10),))
    assert world.looked[0][1] == 10


@pytest.mark.parametrize("budget", [0.005, 0.02, 0.1])
def test_the_budget_is_kept(budget: float) -> None:
    world = World(*range(1, 41), budget=budget)
    while not (world.taker.latest and world.census.complete):
        world.look()
    spent, began = world.spent, world.now
    world.run(500)
    share = (world.spent - spent) / (world.now - began)
    assert share <= budget * 1.01
    # And it is made use of, except that nobody is listed more than once a second.
    assert share >= min(budget, 0.004 + budget / 2) * 0.9


def test_an_expensive_look_is_paid_for_by_a_longer_wait() -> None:
    world = World(10)
    world.look()
    world.place_cost_ns = 3 * SECOND
    world.look()
    assert world.census.complete
    before = world.spent
    world.run(250)
    assert (world.spent - before) / (250 * SECOND) <= 0.022


def test_rows_in_view_are_fresher() -> None:
    world = World(*range(1, 41))
    in_view = tuple(world.identity(pid) for pid in range(1, 9))
    world.run(300, in_view)
    world.looked.clear()
    world.run(300, in_view)
    seen = {pid: sum(looked == pid for _, looked in world.looked) for pid in range(1, 41)}
    assert min(seen.values()) >= 1
    assert min(seen[pid] for pid in range(1, 9)) >= 2 * max(seen[pid] for pid in range(9, 41))


def test_a_process_that_ends_while_it_is_looked_at_is_gone_for_a_while() -> None:
    world = World(10, 20)
    gone = world.identity(20)
    world.look()
    world.fail[20] = TargetGone("ended", pid=20)
    world.look()
    row = world.census.find(gone)
    assert row is not None and row.standing is Standing.GONE
    world.look()
    assert world.census.complete  # it is not waited for
    del world.backend.machine.processes[20]
    world.run(8)
    assert world.census.find(gone) is not None
    world.run(8)
    assert world.census.find(gone) is None


def test_the_one_that_is_kept_stays() -> None:
    world = World(10, 20)
    kept = world.identity(20)
    world.look()
    del world.backend.machine.processes[20]
    for _ in range(200):
        world.look(keep=kept)
    assert world.now > 30 * SECOND
    row = world.census.find(kept)
    assert row is not None and row.standing is Standing.GONE
    for _ in range(10):
        world.look()
    assert world.census.find(kept) is None


def test_a_process_that_was_thought_gone_and_is_there() -> None:
    world = World(10)
    world.look()
    world.fail[10] = TargetGone("for a moment", pid=10)
    world.look()
    assert world.census.rows[0].standing is Standing.GONE
    world.fail.clear()
    world.run(3)
    assert world.census.rows[0].standing is Standing.HERE


def test_the_same_pid_again_is_another_process() -> None:
    world = World(10)
    world.run(2)
    before = world.identity(10)
    del world.backend.machine.processes[10]
    add_process(world.backend, [1] * 5, pid=10, start_time=77)
    world.run(5)
    after = world.identity(10)
    standings = {row.identity: row.standing for row in world.census.rows}
    assert standings == {before: Standing.GONE, after: Standing.HERE}
    row = world.census.find(after)
    assert row is not None and row.placement == Placement({1: 5 * PAGE})


def test_who_may_not_be_looked_at_is_locked_until_he_may() -> None:
    world = World(10)
    world.fail[10] = RefusedError("no", pid=10)
    world.run(2)
    assert [row.standing for row in world.census.rows] == [Standing.LOCKED]
    assert world.census.complete
    world.fail.clear()
    world.run(2)
    assert [row.standing for row in world.census.rows] == [Standing.HERE]


def test_a_look_that_fails_is_not_tried_again_at_once() -> None:
    world = World(10, 20)
    world.look()
    world.fail[20] = BackendError("broken", pid=20)
    with pytest.raises(BackendError):
        world.look()
    world.look()
    assert [pid for _, pid in world.looked] == [20, 10]


def test_what_others_counted_is_taken_over() -> None:
    world = World(10, 20)
    world.run(2)
    counted = Placement({1: 7 * PAGE})
    world.taker.adopt(world.identity(10), counted)
    world.taker.adopt((99, 1), counted)
    row = world.census.find(world.identity(10))
    assert row is not None and row.placement == counted
    assert len(world.census.rows) == 2


def test_home_is_where_it_ran_lately() -> None:
    backend = machine(1 << 18, 1 << 18, 1 << 18, caller=Caller())
    add_process(backend, [0] * 5, pid=10, cpu_nodes=(1,))
    add_process(backend, [0] * 5, pid=20, cpu_nodes=(0, 1, 2))
    world = World(backend=backend)
    world.run(2)
    assert [(row.home, row.runs_everywhere) for row in world.census.rows] == [((1,), False), ((), True)]
    backend.machine.processes[10].cpu_nodes = (2,)
    world.run(5)
    assert world.census.rows[0].home == (1, 2)
    world.run(12)
    assert world.census.rows[0].home == (2,)
    assert [row.remote_bytes for row in world.census.rows] == [5 * PAGE, None]
