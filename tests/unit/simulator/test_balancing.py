"""NUMA balancing: it marks, whoever touches gets the page, and what a hand has moved away comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.simulator.actors.balancing import Balancing, BalancingSettings
from numamig.backends.simulator.actors.base import settings_of
from numamig.backends.simulator.actors.demotion import DemotionSettings
from numamig.backends.simulator.actors.scanrate import FaultTally, ScanRate, ScanSettings
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import HUGE_PAGES, Backing, Flag
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.outcome import Outcome
from numamig.model.process import RegionKind
from tests.machines import PID, add_process, machine, pages_by_node

SECOND = 10**9
WINDOW = 65_536
"""Pages of 256 MB."""


def at_work(
    *layouts: list[int] | np.ndarray,
    kernel: str = "linux-6.1",
    threads: int = 1,
    cpu_nodes: tuple[int, ...] = (1,),
    plan: WorkloadPlan = WorkloadPlan(50.0),
    balancing: Balancing | None = None,
    **how: object,
) -> tuple[SimulatorBackend, Workload, list[Backing]]:
    backend = machine(1 << 19, 1 << 19, 1 << 19, kernel=kernel)
    backings = add_process(backend, *layouts, threads=threads, cpu_nodes=cpu_nodes, **how)  # type: ignore[arg-type]
    workload = backend.machine.work(Workload(backend.machine, backend.machine.processes[PID], plan))
    (balancing or Balancing()).start(backend.machine)
    return backend, workload, backings


def hinted(backing: Backing) -> int:
    return int((backing.flags & np.uint8(Flag.HINTED) != 0).sum())


def wait(backend: SimulatorBackend, seconds: float) -> dict[str, int]:
    backend.clock.sleep_ns(round(seconds * SECOND))
    return dict(backend.node_counters().vmstat)


def test_it_says_that_it_is_on() -> None:
    backend = machine()
    assert (backend.capabilities.balancing, backend.node_counters().switches.balancing) == (False, 0)
    Balancing().start(backend.machine)
    assert (backend.capabilities.balancing, backend.node_counters().switches.balancing) == (True, 1)


def test_a_window_is_marked_each_period_and_its_pages_come_home() -> None:
    backend, workload, (backing,) = at_work([0] * (2 * WINDOW))
    before = workload.figures()
    assert wait(backend, 0.99)["numa_pte_updates"] == 0
    vmstat = wait(backend, 0.02)
    assert vmstat["numa_pte_updates"] == WINDOW
    assert hinted(backing) > 0.9 * WINDOW  # 10 ms are not enough to touch many
    vmstat = wait(backend, 0.9)
    assert hinted(backing) == 0
    assert vmstat["numa_hint_faults"] == vmstat["numa_pages_migrated"] == vmstat["pgmigrate_success"] == WINDOW
    assert vmstat["numa_hint_faults_local"] == 0
    assert pages_by_node(backing) == {0: WINDOW, 1: WINDOW}
    wait(backend, 2)
    assert pages_by_node(backing) == {1: 2 * WINDOW}
    after = workload.figures()
    assert (before.speed, after.speed) == (pytest.approx(0.6), pytest.approx(1.0))
    assert after.stalled_ns > 0
    # At home, the pages of a process with one thread are not marked any more.
    assert wait(backend, 10)["numa_pte_updates"] == 2 * WINDOW


def test_each_page_is_touched_as_soon_as_its_heat_says() -> None:
    pages = 4096
    backend = machine(kernel="linux-6.1")
    (backing,) = add_process(backend, [0] * pages, cpu_nodes=(1,))
    backing.heat = np.where(np.arange(pages) < pages // 2, 200, 1).astype(np.uint8)
    m = backend.machine
    workload = m.work(Workload(m, m.processes[PID], WorkloadPlan(100_000.0)))
    Balancing().start(m)
    wait(backend, 1)
    # A touch each 100.2 us, 200 of 201 to the hot half: after D, 1 - exp(-rate * D) of its pages have been touched.
    seconds = 0.2
    wait(backend, seconds)
    hot = hinted_share(backing, slice(0, pages // 2))
    cold = hinted_share(backing, slice(pages // 2, None))
    rate = 1e9 / 100_200 / (pages // 2) * 200 / 201
    assert hot == pytest.approx(np.exp(-rate * seconds), abs=0.07)
    assert cold > 0.99
    assert workload.running


def hinted_share(backing: Backing, part: slice) -> float:
    return float((backing.flags[part] & np.uint8(Flag.HINTED) != 0).mean())


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_what_a_job_moves_away_comes_back(kernel: str) -> None:
    backend, workload, (backing,) = at_work([1] * 20_000, kernel=kernel, threads=2, plan=WorkloadPlan(2000.0))
    wait(backend, 1.001)
    marked = hinted(backing)
    assert marked > 15_000
    job = Job(1, backend, plan_request(backend, Request(PID, Node(2))))
    list(run_job(job, backend))
    done = job.snapshot()
    # Whether hidden on 6.1 or not: its marks are cleared, and every page is accounted for.
    assert done.outcomes[Outcome.MOVED] == done.chosen == 20_000
    assert pages_by_node(backing) == {2: 20_000}
    moved_by_hand = int(backend.machine.moved_pages[1, 2])
    wait(backend, 30)
    assert pages_by_node(backing) == {1: 20_000}
    assert int(backend.machine.moved_pages[2, 1]) == moved_by_hand == 20_000
    assert workload.figures().speed == pytest.approx(1.0)


def test_pages_that_two_nodes_touch_follow_who_touched_them_twice() -> None:
    backend, workload, (backing,) = at_work([0] * WINDOW, threads=8, cpu_nodes=(1, 2))
    vmstat = wait(backend, 30)
    placed = pages_by_node(backing)
    assert placed[1] == pytest.approx(placed[2], rel=0.05) and sum(placed.values()) == WINDOW
    # Half of the faults come from the other node; the filter lets half of those move, and the group's balance fewer.
    share = (vmstat["numa_pages_migrated"] - WINDOW) / (vmstat["numa_hint_faults"] - WINDOW)
    assert 0 < share < 0.3
    assert workload.figures().local == pytest.approx(0.5, abs=0.03)


def test_threads_with_parts_of_their_own_get_their_parts() -> None:
    backend, workload, (backing,) = at_work(
        [0] * WINDOW, threads=8, cpu_nodes=(1, 2), plan=WorkloadPlan(50.0, split=True)
    )
    wait(backend, 10)
    assert backing.node.tolist() == [1] * (WINDOW // 2) + [2] * (WINDOW // 2)
    assert workload.figures().speed == pytest.approx(1.0)


def test_huge_pages_fault_and_move_whole() -> None:
    backend, _, (backing,) = at_work([0] * (HUGE_PAGES * 20), huge=True)
    vmstat = wait(backend, 3)
    assert pages_by_node(backing) == {1: HUGE_PAGES * 20}
    assert vmstat["numa_huge_pte_updates"] >= 20
    assert (vmstat["numa_hint_faults"] - vmstat["numa_hint_faults_local"], vmstat["numa_pages_migrated"]) == (
        20,
        20 * HUGE_PAGES,
    )


def test_what_is_not_marked() -> None:
    backend, _, backings = at_work([0] * 100, [0] * 100, [0] * 100, [0] * 100, flags={3: Flag.PINNED}, threads=2)
    backings[0].sharers[5] = 2
    regions = backend.machine.processes[PID].regions
    regions[1].kind = RegionKind.SPECIAL
    regions[2].kind, regions[2].permissions = RegionKind.FILE, "r-xp"
    regions[3].permissions = "rw-s"
    backings[3].sharers[:] = 2
    assert wait(backend, 1.001)["numa_pte_updates"] == 198
    wait(backend, 5)
    assert pages_by_node(backings[0]) == {0: 2, 1: 98}
    assert backings[0].node[[3, 5]].tolist() == [0, 0]
    assert pages_by_node(*backings[1:3]) == {0: 200}
    assert pages_by_node(backings[3]) == {1: 100}


def test_a_full_node_takes_nothing_and_scanning_slows_down() -> None:
    backend, _, _ = at_work([0] * WINDOW)
    node = backend.machine.nodes[1]
    node.reserve_pages, node.free_pages = 1000, 1600
    vmstat = wait(backend, 1.5)
    # Nothing below the high watermark, which is half above min.
    assert (vmstat["numa_pages_migrated"], node.free_pages) == (100, 1500)
    scans = []
    for _ in range(40):
        scans.append(wait(backend, 1)["numa_pte_updates"])
    # One pass is one window; each pass that fails doubles the period: 2 s, 4, 8, 16.
    assert 3 <= len(set(scans)) <= 6


def test_a_cpuset_is_kept() -> None:
    backend, _, (backing,) = at_work([0] * 1000, mems_allowed=frozenset({0, 2}))
    wait(backend, 5)
    assert pages_by_node(backing) == {0: 1000}


def test_a_limit_of_migration_holds() -> None:
    limited = Balancing(settings=BalancingSettings(most_bytes_per_s=40 << 20))
    backend, _, (backing,) = at_work([0] * WINDOW, balancing=limited)
    wait(backend, 2)
    assert 0 < pages_by_node(backing).get(1, 0) <= (40 << 20) // 4096 * 1.2


def test_a_process_that_ends_or_has_done_its_work_is_left_alone() -> None:
    backend, workload, _ = at_work([0] * 1000, plan=WorkloadPlan(50.0, accesses=1e6))
    wait(backend, 0.5)
    assert not workload.figures().speed
    assert wait(backend, 20)["numa_pte_updates"] == 0
    backend, _, _ = at_work([0] * 1000)
    wait(backend, 1.0001)
    backend.machine.end(PID)
    free = backend.node_counters().free_bytes
    wait(backend, 20)
    assert backend.node_counters().free_bytes == free


def test_the_same_seed_does_the_same_and_another_another() -> None:
    def after(seed: int) -> tuple[bytes, bytes]:
        backend = machine(kernel="linux-6.1")
        backend.machine.seed = seed
        (backing,) = add_process(backend, [0] * 20_000, threads=8, cpu_nodes=(1, 2))
        backend.machine.work(Workload(backend.machine, backend.machine.processes[PID], WorkloadPlan(50.0)))
        Balancing().start(backend.machine)
        wait(backend, 7.3)
        return backing.node.tobytes(), backing.flags.tobytes()

    assert after(1) == after(1) != after(2)


@pytest.mark.parametrize(
    ("tally", "period"),
    [
        (FaultTally(), 2.0),  # nothing happened
        (FaultTally(local=10, private=10, failed=1), 2.0),
        (FaultTally(local=10, private=10), 1.3),  # private faults: 10 of 10 tenths, three slots above seven
        (FaultTally(local=8, remote=2, private=2, shared=8), 1.1),
        (FaultTally(remote=10, shared=10), 0.3),  # seven slots less
        (FaultTally(local=4, remote=6, private=5, shared=5), 0.8),
    ],
)
def test_the_scan_period_adapts_by_tenths(tally: FaultTally, period: float) -> None:
    rate = ScanRate(ScanSettings())
    rate.adapt(tally, 4 << 30)
    assert rate.period_ns == round(period * SECOND)


def test_the_scan_period_keeps_its_bounds() -> None:
    settings = ScanSettings()
    # A process of one window: 1 s to 60 s. Of 16: 100 ms (2560 MB a second at most) to 3.75 s.
    assert (settings.shortest_ns(4096), settings.longest_ns(4096)) == (SECOND, 60 * SECOND)
    assert (settings.shortest_ns(4 << 30), settings.longest_ns(4 << 30)) == (SECOND // 10, 3_750_000_000)
    rate = ScanRate(settings)
    for _ in range(10):
        rate.adapt(FaultTally(), 4 << 30)
    assert rate.period_ns == 3_750_000_000
    for _ in range(20):
        rate.adapt(FaultTally(remote=10, shared=10), 4 << 30)
    assert rate.period_ns == SECOND // 10


def test_every_parameter_says_where_it_comes_from() -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
    told = [*settings_of(ScanSettings()), *settings_of(BalancingSettings()), *settings_of(DemotionSettings())]
    assert len(told) == 14
    for setting in told:
        assert setting.source.split(":")[0] in ("read", "assumed", "chosen") and setting.unit
        assert f"`{setting.name}`" in page or setting.source.startswith("chosen"), setting.name
