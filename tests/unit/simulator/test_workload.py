"""Workloads: how fast they get on follows from where their pages are, and moving pages is seen in it."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.access import AccessModel
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import Backing, SimNode
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from tests.machines import PID, add_process, machine, pages_by_node

SECOND = 10**9
PAGES = 10_000


def at_work(
    layout: list[int] | np.ndarray,
    plan: WorkloadPlan,
    *,
    threads: int = 2,
    cpu_nodes: tuple[int, ...] = (1,),
    backend: SimulatorBackend | None = None,
) -> tuple[SimulatorBackend, Workload, Backing]:
    backend = backend or machine()
    (backing,) = add_process(backend, layout, threads=threads, cpu_nodes=cpu_nodes)
    return backend, backend.machine.work(Workload(backend.machine, backend.machine.processes[PID], plan)), backing


def run(backend: SimulatorBackend, request: Request) -> int:
    """A job to its end; how long it took, in ns."""
    began = backend.clock.now_ns()
    list(run_job(Job(1, backend, plan_request(backend, request)), backend))
    return backend.clock.now_ns() - began


@pytest.mark.parametrize(("layout", "each_ns"), [([1], 150.0), ([0], 250.0), ([0, 1], 200.0), ([0, 0, 0, 1], 225.0)])
def test_it_is_done_when_latency_and_computing_say(layout: list[int], each_ns: float) -> None:
    # 100 ns to its own node, 200 to another (distance 20), 50 computing.
    backend, workload, _ = at_work(layout * 1000, WorkloadPlan(50.0, accesses=1e6))
    assert workload.due_ns() == each_ns * 1e6
    backend.clock.sleep_ns(round(each_ns * 1e6) - 1)
    assert workload.figures().done == pytest.approx(1, abs=1e-6) and workload.running
    backend.clock.sleep_ns(SECOND)
    assert workload.figures().finished_ns == round(each_ns * 1e6)
    assert workload.figures().speed == 0.0


def test_moving_pages_to_it_pays_off_and_away_from_it_does_not() -> None:
    work = WorkloadPlan(50.0, accesses=10e6)
    finished = {}
    for to in (None, 1, 2):
        backend, workload, _ = at_work([0] * PAGES, work)
        if to is not None:
            run(backend, Request(PID, Node(to)))
        backend.clock.sleep_ns(10 * SECOND)
        done = workload.figures()
        assert done.finished_ns is not None
        finished[to] = (done.finished_ns, done.stalled_ns)
    left_alone, pulled, pushed = finished[None], finished[1], finished[2]
    assert left_alone == (2_500_000_000, 0)
    # Not better than all local from the start, and worth its stalls.
    assert 1_500_000_000 < pulled[0] < 1_600_000_000 and pulled[1] > 0
    # As far away as before: only the stalls are seen.
    assert left_alone[0] < pushed[0] < left_alone[0] + pushed[1]


def test_half_way_it_is_as_if_each_half_had_been_by_itself() -> None:
    backend, workload, backing = at_work([0] * PAGES, WorkloadPlan(50.0, accesses=1e6))
    backend.clock.sleep_ns(125_000_000)
    assert workload.figures().done == pytest.approx(0.5)
    backend.machine.relocate(backing, slice(0, PAGES), 1)
    assert workload.due_ns() == 125_000_000 + 75_000_000


def test_heat_says_which_pages_matter() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * PAGES, cpu_nodes=(1,))
    backing.heat = np.where(np.arange(PAGES) < PAGES // 10, 81, 1).astype(np.uint8)  # a tenth has nine tenths
    workload = backend.machine.work(Workload(backend.machine, backend.machine.processes[PID], WorkloadPlan(0.0)))
    backend.machine.relocate(backing, slice(PAGES // 10, PAGES), 1)
    assert workload.figures().local == pytest.approx(0.1)
    backend.machine.relocate(backing, slice(0, PAGES // 10), 1)
    assert workload.figures().local == pytest.approx(1.0)


def test_threads_at_a_barrier_wait_for_the_slowest_and_others_do_not() -> None:
    plan = {"split": True, "accesses": 1e6}
    for barrier, slowest in ((False, 150.0), (True, 250.0)):
        _, workload, _ = at_work([1] * 500 + [0] * 500, WorkloadPlan(50.0, barrier=barrier, **plan))  # type: ignore[arg-type]
        assert workload.period_ns().tolist() == [slowest, 250.0]
        assert workload.due_ns() == 250e6


def test_a_node_that_is_asked_for_too_much_makes_all_wait() -> None:
    nodes = [SimNode(n, (n,), 1 << 18, 1 << 18) for n in range(2)]
    distances = {(a, b): 10 if a == b else 20 for a in range(2) for b in range(2)}
    limited = AccessModel(distances, bandwidths={1: 1.28})  # bytes a ns: 50 ns between two accesses of 64 bytes
    backend = SimulatorBackend(Machine(nodes, distances, access=limited))
    _, workload, backing = at_work([1] * PAGES, WorkloadPlan(0.0, in_flight=10.0), threads=20, backend=backend)
    served = workload.figures().accesses_per_s * 64 / 1e9
    assert served == pytest.approx(1.28, rel=1e-6)
    backend.machine.relocate(backing, slice(0, PAGES), 0)  # farther, and nobody in the way
    assert workload.figures().accesses_per_s * 64 / 1e9 == pytest.approx(20 * 64 / 20, rel=1e-6)


def test_what_a_thread_loses_to_a_batch_is_what_poisson_says() -> None:
    backend, workload, backing = at_work([1] * PAGES, WorkloadPlan(50.0))
    rate = workload.touches_per_ns(backing, slice(0, 512))
    assert rate.tolist() == pytest.approx([512 / PAGES / 150] * 2)
    batch_ns = 3000.0
    workload.under_migration(backing, slice(0, 512), 1.0, batch_ns)
    # It touches first at a time that is exponential, and sleeps from then on: the mean of max(0, D - T).
    grid = np.linspace(0, batch_ns, 200_001)
    mean = np.trapezoid((batch_ns - grid) * rate[0] * np.exp(-rate[0] * grid), grid)
    assert workload.figures().stalled_ns == pytest.approx(2 * mean, rel=1e-4)
    assert workload.figures().longest_stall_ns == batch_ns
    before = workload.accesses()
    backend.clock.sleep_ns(SECOND)
    got_on = (workload.accesses() - before) * 150
    assert got_on.tolist() == pytest.approx([SECOND - mean] * 2, rel=1e-9)


def test_looking_at_it_changes_nothing() -> None:
    def after(looks: int) -> tuple[dict[int, int], list[float]]:
        backend, workload, backing = at_work([0] * PAGES, WorkloadPlan(50.0))
        for _ in range(looks):
            backend.clock.sleep_ns(SECOND // looks)
            backend.workings()
        return pages_by_node(backing), workload.accesses().tolist()

    one, many = after(1), after(1000)
    assert one[0] == many[0] and one[1] == pytest.approx(many[1], rel=1e-12)
