"""Batches in another order: what comes first, that every page has one turn, and that it can be set back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import HUGE_PAGES, PAGE, Flag
from numamig.backends.simulator.process import Caller
from numamig.errors import RefusedError
from numamig.migrate.batch import Batch
from numamig.migrate.blocks import MOST_BLOCKS, divide
from numamig.migrate.chooser import Chooses
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.order import ordered_chooser
from numamig.migrate.order_mode import Order, OrderMode
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.ranges import joined
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.model.pages import Ranges
from tests.machines import PID, START, add_process, machine, pages_by_node

HUGE = 2 << 20
EVERY = list(OrderMode)
BUT_ADDRESS = [mode for mode in OrderMode if mode is not OrderMode.ADDRESS]


def planned(backend: SimulatorBackend, **asked: object) -> Plan:
    return plan_request(backend, Request(PID, Node(1), **asked))  # type: ignore[arg-type]


def chooser(
    backend: SimulatorBackend, mode: OrderMode, seed: int = 0, ranges: Ranges | None = None, **asked: object
) -> Chooses:
    plan = planned(backend, **asked)
    return ordered_chooser(backend, backend.hold(plan.process), plan, ranges, mode, seed)


def batches(chosen: Chooses, most_pages: int) -> Iterator[Batch]:
    while not chosen.place.exhausted:
        batch = chosen.next_batch(most_pages)
        if len(batch):
            yield batch


def turns(chosen: Chooses, most_pages: int = 1) -> list[int]:
    """Pages from the start of the first region, in the order in which they have their turn."""
    return [(a - START) // PAGE for batch in batches(chosen, most_pages) for a in batch.address.tolist()]


def warm(heat: list[int], *, huge: bool = False) -> SimulatorBackend:
    backend = machine()
    (backing,) = add_process(backend, [0] * len(heat), huge=huge)
    backing.heat = np.array(heat, np.uint8)
    return backend


def test_what_comes_first() -> None:
    heat = [3, 9, 9, 0, 200, 3]
    assert turns(chooser(warm(heat), OrderMode.ADDRESS)) == [0, 1, 2, 3, 4, 5]
    assert turns(chooser(warm(heat), OrderMode.HOTTEST)) == [4, 1, 2, 0, 5, 3]
    assert turns(chooser(warm(heat), OrderMode.COLDEST)) == [3, 0, 5, 1, 2, 4]


def test_a_batch_has_the_next_pages_in_ascending_order() -> None:
    chosen = chooser(warm([3, 9, 9, 0, 200, 3]), OrderMode.HOTTEST)
    found = [[(a - START) // PAGE for a in batch.address.tolist()] for batch in batches(chosen, 4)]
    assert found == [[0, 1, 2, 4], [3, 5]]


def test_a_lot_is_drawn_by_the_seed_alone() -> None:
    drawn = [turns(chooser(warm([1] * 200), OrderMode.RANDOM, seed)) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == sorted(drawn[2]) == list(range(200))
    assert drawn[0] != list(range(200))
    # Half of all neighbours ascend in a fair lot: 100 of 199, give or take five standard deviations.
    assert 79 < sum(a < b for a, b in pairwise(drawn[0])) < 121
    script = "from tests.unit.migrate.test_order import *\nprint(turns(chooser(warm([1] * 200), OrderMode.RANDOM, 7)))"
    for hashes in ("1", "2"):
        command = ["env", f"PYTHONHASHSEED={hashes}", sys.executable, "-c", script]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{drawn[0]}\n"


def test_huge_pages_have_their_turn_as_a_whole() -> None:
    backend = warm([1] * 512 + [9] * 512 + [5] * 512, huge=True)
    chosen = chooser(backend, OrderMode.HOTTEST)
    found = list(batches(chosen, 10))
    assert [(int(b.address[0]) - START) // HUGE for b in found] == [1, 2, 0]
    assert {int(size) for b in found for size in b.size_bytes} == {HUGE}


def test_of_memory_that_is_larger_huge_pages_worth_of_it_have_their_turns() -> None:
    """More pages than there may be blocks: then neighbours go together, and are as hot as they are on average."""
    blocks = MOST_BLOCKS // HUGE_PAGES + 2
    heat = np.random.default_rng(1).permutation(blocks)
    backend = warm(np.repeat(heat, HUGE_PAGES).tolist())
    for mode, first in ((OrderMode.HOTTEST, blocks - 1), (OrderMode.COLDEST, 0)):
        order = [page // HUGE_PAGES for page in turns(chooser(backend, mode), HUGE_PAGES)][::HUGE_PAGES]
        assert sorted(order) == list(range(blocks))
        assert heat[order[0]] == first
        assert [int(heat[n]) for n in order] == sorted(heat.tolist(), reverse=mode is OrderMode.HOTTEST)


def test_blocks_are_never_too_many_and_never_cut_a_huge_page() -> None:
    backend = machine()
    add_process(backend, [0] * 16)
    plan, hold = planned(backend), backend.hold(backend.process(PID))
    wide = [(START - (1 << 30) + PAGE, START), (START + PAGE, START + (4 << 40) + PAGE)]
    scattered = [(START + n * HUGE, START + n * HUGE + PAGE) for n in range(3 * MOST_BLOCKS)]
    for ranges in (wide, scattered, wide[:1]):
        blocks = divide(hold, plan, ranges)
        assert 0 < len(blocks) <= MOST_BLOCKS
        assert (blocks.start[1:] >= blocks.end[:-1]).all()
        assert not (blocks.start % HUGE).any() and not (blocks.end % HUGE).any()
        assert blocks.within(np.array(ranges, np.uint64), range(len(blocks))) == ranges


@pytest.mark.parametrize("mode", EVERY)
@pytest.mark.parametrize("most_pages", [1, 7, 64, 700])
def test_every_page_has_one_turn_and_what_remains_is_exact(mode: OrderMode, most_pages: int) -> None:
    backend = machine()
    layout = [0] * 70 + [1] * 5 + [255] * 9 + [2] * 40
    backings = add_process(backend, layout * 2, layout[:33], [0] * 150)
    for number, backing in enumerate(backings):
        backing.heat = np.random.default_rng(number).integers(0, 256, len(backing.node)).astype(np.uint8)
    wanted = {
        region.start + page * PAGE
        for region in backend.machine.processes[PID].regions
        for page in np.flatnonzero((region.backing.node != 255) & (region.backing.node != 1)).tolist()
    }
    chosen = chooser(backend, mode, seed=3)
    left = pages_in(chosen.remaining)
    assert left == pages_in(planned(backend).ranges)
    while not chosen.place.exhausted:
        batch = chosen.next_batch(most_pages)
        found, rest = batch.address.tolist(), pages_in(chosen.remaining)
        assert found == sorted(found) and len(found) <= most_pages
        assert left >= rest and left & wanted == (rest & wanted) | set(found)
        assert not rest & set(found)
        left = rest
    assert chosen.remaining == [] and not left
    assert len(chosen.next_batch(10)) == 0


def pages_in(ranges: Ranges) -> set[int]:
    """Their addresses; no range overlaps the one before."""
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))
    return {page for start, end in ranges for page in range(start, end, PAGE)}


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_it_can_be_set_back_to_any_place(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(BUT_ADDRESS))
    backend = warm(data.draw(st.lists(st.integers(0, 255), min_size=1, max_size=60)))
    chosen = chooser(backend, mode, seed=data.draw(st.integers(0, 9)))
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    places, rest, seen = [chosen.place], [list(chosen.remaining)], []
    for size in sizes:
        seen.append(chosen.next_batch(size).address.tolist())
        places.append(chosen.place)
        rest.append(list(chosen.remaining))
    back = data.draw(st.integers(0, len(sizes) - 1))
    chosen.place = places[back]
    assert joined(chosen.remaining) == rest[back]
    assert [chosen.next_batch(size).address.tolist() for size in sizes[back:]] == seen[back:]


@pytest.mark.parametrize("mode", EVERY)
def test_only_the_ranges_that_it_is_given(mode: OrderMode) -> None:
    backend = warm([5] * 100)
    ranges = [(START + 3 * PAGE, START + 5 * PAGE), (START + 50 * PAGE, START + 51 * PAGE)]
    chosen = chooser(backend, mode, ranges=ranges)
    assert chosen.remaining == ranges
    assert sorted(turns(chosen)) == [3, 4, 50]
    nothing = chooser(backend, mode, ranges=[])
    assert nothing.place.exhausted and nothing.remaining == [] and not len(nothing.next_batch(5))


@pytest.mark.parametrize("mode", BUT_ADDRESS)
def test_a_part_of_a_huge_page_is_all_of_it_once(mode: OrderMode) -> None:
    backend = warm([5] * 1024, huge=True)
    ranges = [(START + 3 * PAGE, START + 5 * PAGE), (START + 50 * PAGE, START + 51 * PAGE)]
    assert turns(chooser(backend, mode, ranges=ranges)) == [0]


@pytest.mark.parametrize("mode", BUT_ADDRESS)
def test_pages_that_become_a_huge_page_meanwhile_have_one_turn_more_at_most(mode: OrderMode) -> None:
    backend = warm([5] * 1024)
    backing = backend.machine.processes[PID].regions[0].backing
    chosen = chooser(backend, mode)
    first = turns_of(chosen.next_batch(100))
    backing.flags[:512] |= np.uint8(Flag.LARGE)
    later = [page for batch in batches(chosen, 600) for page in turns_of(batch)]
    assert len(first) == 100
    # As nothing has moved, the pages of the new huge page are shown again, with it; but that comes only once.
    assert later.count(0) == 1
    assert sorted({*first, *later} - set(range(512))) == list(range(512, 1024))


def turns_of(batch: Batch) -> list[int]:
    return [(a - START) // PAGE for a in batch.address.tolist()]


class InOrder:
    """A job whose passes are in an order."""

    def __init__(self, backend: SimulatorBackend, mode: OrderMode, **asked: object) -> None:
        self.passes: list[Ranges | None] = []

        def chooses(backend_: object, hold: object, plan: Plan, ranges: Ranges | None) -> Chooses:
            self.passes.append(ranges)
            return ordered_chooser(backend, hold, plan, ranges, mode, 5)  # type: ignore[arg-type]

        self.job = Job(1, backend, planned(backend, **asked), chooses=chooses)
        list(run_job(self.job, backend))


@pytest.mark.parametrize("mode", EVERY)
def test_a_job_ends_the_same_whatever_the_order(mode: OrderMode) -> None:
    backend = machine()
    stuck = (3, 100, 720)
    flags = {3: Flag.PINNED, 100: Flag.ISOLATED, 720: Flag.PINNED}
    layout = ([0] * 70 + [1] * 5 + [255] * 9 + [2] * 40) * 6
    backings = add_process(backend, layout, [0] * 100, flags=flags)
    for backing in backings:
        backing.heat = np.random.default_rng(2).integers(0, 256, len(backing.node)).astype(np.uint8)
    ran = InOrder(backend, mode, batch_pages=64, retry=Retry(RetryMode.BOUNDED, passes=3))
    outcomes = ran.job.snapshot().outcomes
    assert {o.key: n for o, n in outcomes.items() if n} == {"moved": 6 * 110 + 100 - 3, "busy": 3}
    assert pages_by_node(*backings) == {0: 1, 1: 6 * 115 + 100 - 3, 2: 2}
    # Each further pass is about the busy pages, and nothing else.
    assert len(ran.passes) == 3 and ran.passes[0] is None
    assert ran.passes[1] == ran.passes[2] == [(START + n * PAGE, START + (n + 1) * PAGE) for n in stuck]


@pytest.mark.parametrize("mode", [OrderMode.HOTTEST, OrderMode.COLDEST])
def test_of_a_request_with_a_limit_what_comes_first_is_moved(mode: OrderMode) -> None:
    heat = np.random.default_rng(4).permutation(250)
    backend = warm(heat.tolist())
    request = Request(PID, Node(1), order=Order(mode), most_pages=60, batch_pages=16)
    list(run_job(Job(1, backend, plan_request(backend, request)), backend))
    moved = heat[backend.machine.processes[PID].regions[0].backing.node == 1]
    assert sorted(moved.tolist()) == (list(range(190, 250)) if mode is OrderMode.HOTTEST else list(range(60)))


def test_where_heat_is_not_told_it_is_said() -> None:
    backend = machine(caller=Caller(sys_admin=False))
    add_process(backend, [0] * 10)
    for mode in (OrderMode.HOTTEST, OrderMode.COLDEST):
        with pytest.raises(RefusedError, match="heat is not known here"):
            chooser(backend, mode).next_batch(5)
    assert len(turns(chooser(backend, OrderMode.RANDOM))) == 10
