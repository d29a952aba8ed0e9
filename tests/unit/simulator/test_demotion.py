"""Demotion: it begins below the low watermark, ends at the high one, and takes what is cold."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.actors.demotion import Demotion, next_tier
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import HUGE_PAGES, Flag, SimNode
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from tests.machines import PID, add_process, pages_by_node

SECOND = 10**9
RESERVE = 1000


def tiered(free: int = 20_000) -> SimulatorBackend:
    nodes = [
        SimNode(0, (0, 1), free, free, RESERVE, tier=0),
        SimNode(1, (2, 3), 100_000, 100_000, RESERVE, tier=0),
        SimNode(2, (), 100_000, 100_000, RESERVE, tier=1),
        SimNode(3, (), 100_000, 100_000, RESERVE, tier=1),
    ]
    far = {(0, 2): 24, (0, 3): 17}
    distances = {(a, b): 10 if a == b else far.get((a, b), 20) for a in range(4) for b in range(4)}
    backend = SimulatorBackend(Machine(nodes, distances))
    Demotion().start(backend.machine)
    return backend


def test_pages_go_to_the_nearest_node_of_the_next_tier() -> None:
    backend = tiered()
    nodes = backend.machine.nodes
    assert [getattr(next_tier(backend.machine, nodes[n]), "id", None) for n in range(4)] == [3, 2, None, None]
    assert backend.node_counters().switches.demotion is True


def test_from_the_low_watermark_to_the_high_one() -> None:
    backend = tiered()
    (backing,) = add_process(backend, [0] * 18_750)
    backend.clock.sleep_ns(SECOND)
    assert pages_by_node(backing) == {0: 18_750}  # 1,250 free: not below low
    backend.machine.place(add_process(backend, [255], pid=77)[0], 0, np.array([0], np.uint8))
    backend.clock.sleep_ns(SECOND)
    assert backend.machine.nodes[0].free_pages == RESERVE * 6 // 4
    assert backend.node_counters().vmstat["pgdemote_kswapd"] == 251
    assert sum(pages_by_node(backing).values()) == 18_750


def test_page_cache_is_dropped_first() -> None:
    backend = tiered()
    backend.machine.nodes[0].free_pages -= 200
    backend.machine.nodes[0].cache_pages = 200
    (backing,) = add_process(backend, [0] * 18_700)
    backend.clock.sleep_ns(SECOND)
    assert backend.machine.nodes[0].cache_pages == 0
    assert pages_by_node(backing) == {0: 18_500, 3: 200}


def test_what_is_touched_least_goes_first_and_what_is_held_stays() -> None:
    backend = tiered()
    (backing,) = add_process(backend, [0] * 10_000, cpu_nodes=(0,))
    (other,) = add_process(backend, [0] * 8_900, pid=77)
    backing.heat = np.where(np.arange(10_000) < 9_990, 9, 1).astype(np.uint8)
    other.flags[:8_500] |= np.uint8(Flag.MLOCKED)
    machine = backend.machine
    machine.work(Workload(machine, machine.processes[PID], WorkloadPlan(50.0)))
    backend.clock.sleep_ns(SECOND)
    # 1,100 were free: 400 that nobody touches go.
    assert pages_by_node(other) == {0: 8_500, 3: 400} and pages_by_node(backing) == {0: 10_000}
    (_more,) = add_process(backend, [0] * 300, pid=78)
    backend.machine.processes[78].regions[0].backing.flags[:] |= np.uint8(Flag.PINNED)
    backend.clock.sleep_ns(SECOND)
    moved = np.flatnonzero(backing.node == 3)
    assert len(moved) == 300
    assert set(range(9_990, 10_000)) <= set(moved.tolist())


def test_huge_pages_go_whole() -> None:
    backend = tiered(HUGE_PAGES * 40)
    (backing,) = add_process(backend, [0] * (HUGE_PAGES * 38), huge=True)
    backend.clock.sleep_ns(SECOND)
    demoted = pages_by_node(backing).get(3, 0)
    assert demoted and demoted % HUGE_PAGES == 0
    heads = backing.node.reshape(-1, HUGE_PAGES)
    assert (heads == heads[:, :1]).all()
    assert backend.machine.nodes[0].free_pages >= RESERVE * 5 // 4


@pytest.mark.parametrize("room", [0, 100])
def test_a_full_lower_tier_takes_no_more_than_it_can(room: int) -> None:
    backend = tiered()
    backend.machine.nodes[3].free_pages = RESERVE + room
    (backing,) = add_process(backend, [0] * 19_000)
    backend.clock.sleep_ns(2 * SECOND)
    assert pages_by_node(backing).get(3, 0) == room
    assert backend.machine.nodes[3].free_pages == RESERVE
