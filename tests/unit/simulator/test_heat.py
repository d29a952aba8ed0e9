"""Heat on the simulated machine: who touches which page how often, as a kernel that watches it would find."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numamig.backends.base import TellsHeat
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.heat import SAMPLE_NS
from numamig.backends.simulator.memory import PAGE, Backing
from numamig.backends.simulator.process import Caller
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.errors import RefusedError, TargetGone
from tests.machines import PID, START, add_process, machine

PAGES = 1024


def told(backend: SimulatorBackend, pages: int, each: int = 1, start: int = START) -> list[float]:
    """Heat of so many ranges, of so many pages each."""
    first = start + np.arange(0, pages * PAGE, each * PAGE, dtype=np.uint64)
    return backend.heat(PID, first, first + np.uint64(each * PAGE)).tolist()


def at_work(backend: SimulatorBackend, plan: WorkloadPlan = WorkloadPlan(100.0), pid: int = PID) -> Workload:
    return backend.machine.work(Workload(backend.machine, backend.machine.processes[pid], plan))


def uneven(heat: list[int], *, huge: bool = False) -> tuple[SimulatorBackend, Backing]:
    backend = machine()
    (backing,) = add_process(backend, [0] * len(heat), cpu_nodes=(0,), huge=huge)
    backing.heat = np.array(heat, np.uint8)
    return backend, backing


def test_it_is_the_chance_that_a_page_is_touched_while_it_is_watched() -> None:
    backend, _ = uneven([9] * 512 + [1] * 512)
    at_work(backend)
    # One thread, an access every 200 ns (100 ns to its own node): nine tenths of them go to the first half.
    touches = SAMPLE_NS / 200.0
    hot, cold = (1 - math.exp(-touches * share / 512) for share in (0.9, 0.1))
    found = told(backend, PAGES)
    assert found[:512] == pytest.approx([hot] * 512)
    assert found[512:] == pytest.approx([cold] * 512)


def test_who_works_half_as_fast_touches_half_as_often() -> None:
    rates = []
    for compute_ns in (900_000.0, 1_900_000.0):
        backend, _ = uneven([1] * PAGES)
        at_work(backend, WorkloadPlan(compute_ns - 100.0 + 100_000.0))
        rates.append(-math.log1p(-told(backend, 1)[0]))
    assert rates[0] == pytest.approx(2 * rates[1], rel=1e-3)


def test_a_range_is_as_hot_as_its_pages_on_average_and_absent_ones_do_not_count() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 8 + [255] * 8)
    backing.heat = np.array([255] * 4 + [0] * 4 + [255] * 8, np.uint8)
    assert told(backend, 16, 16) == [0.5]
    assert told(backend, 16, 8)[0] == 0.5
    assert math.isnan(told(backend, 16, 8)[1])


def test_what_is_not_mapped_is_not_known() -> None:
    backend, _ = uneven([255] * 4)
    found = told(backend, 8)
    assert found[:4] == [1.0] * 4
    assert all(map(math.isnan, found[4:]))


def test_a_huge_page_is_touched_as_a_whole() -> None:
    backend, _ = uneven([0] * 511 + [51] + [0] * 512, huge=True)
    assert told(backend, PAGES, 512) == pytest.approx([0.2, 0.0])
    assert told(backend, 512) == pytest.approx([0.2] * 512)


def test_nobody_at_work_touches_nothing() -> None:
    """With a workload that is done, whatever the scenario says; without any, what the scenario says is all there is."""
    backend, _ = uneven([255] * PAGES)
    assert told(backend, 2) == [1.0] * 2
    at_work(backend, WorkloadPlan(100.0, accesses=10))
    assert told(backend, 2)[0] > 0.9
    backend.clock.sleep_ns(10**9)
    assert told(backend, 2) == [0.0] * 2
    quiet = machine()
    add_process(quiet, [0] * 8)
    assert told(quiet, 8) == [0.0] * 8


def test_another_process_at_work_is_not_this_one() -> None:
    backend = machine()
    add_process(backend, [0] * 8)
    add_process(backend, [0] * 8, pid=PID + 1)
    at_work(backend, pid=PID + 1)
    assert told(backend, 8) == [0.0] * 8


def test_looking_changes_nothing() -> None:
    backend, backing = uneven([3, 1] * 512)
    workload = at_work(backend)
    before = (backing.node.tobytes(), backing.flags.tobytes(), workload.accesses().tolist())
    told(backend, PAGES)
    assert (backing.node.tobytes(), backing.flags.tobytes(), workload.accesses().tolist()) == before


def test_who_may_ask() -> None:
    assert isinstance(machine(), TellsHeat) and machine().capabilities.heat
    backend = machine(caller=Caller(sys_admin=False))
    add_process(backend, [0] * 8)
    assert not backend.capabilities.heat and "heat" in backend.capabilities.missing
    with pytest.raises(RefusedError, match="sys_admin: true"):
        told(backend, 8)
    with pytest.raises(TargetGone):
        backend.heat(1, np.zeros(1, np.uint64), np.ones(1, np.uint64))
