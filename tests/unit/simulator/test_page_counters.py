"""Counters of 2004: pages that are used from afar come to who uses them, and what that takes is lost by a thread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.simulator.access import AccessModel
from numamig.backends.simulator.kernels import KERNELS, Retry
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import Backing, SimNode
from numamig.backends.simulator.page_counters import CounterSettings, PageCounters
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.backends.simulator.remap_settings import Executor
from numamig.backends.simulator.scenario import load_machine
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.errors import FileError
from numamig.resources import find_scenario

SECOND = 1_000_000_000
EAGER = CounterSettings(accesses_per_sample=1000, missed=0.0)


def build(heat: list[int] | None = None, *, first: int = 0) -> tuple[Machine, Backing, Workload]:
    """Four threads on two nodes, each with a quarter of 400 pages, which all lie on node 0."""
    nodes = [SimNode(n, (2 * n, 2 * n + 1), 2000, 2000) for n in (0, 1)]
    distances = {(a, b): 10 if a == b else 22 for a in (0, 1) for b in (0, 1)}
    access = AccessModel(distances, 200.0, line_bytes=128)
    machine = Machine(nodes, distances, KERNELS["ia64-2004-hold-lock"], access=access)
    backing = Backing.untouched(400, page_bytes=16384)
    if heat is not None:
        backing.heat = np.array(heat, np.uint8)
    machine.place(backing, 0, np.zeros(400, np.uint8))
    process = SimProcess(1, "openmp", threads=4, cpu_nodes=(0, 1), regions=[SimRegion(1 << 37, backing, first=first)])
    machine.add(process)
    return machine, backing, machine.work(Workload(machine, process, WorkloadPlan(200.0, split=True)))


@pytest.mark.parametrize("free", [True, False])
def test_pages_come_to_who_uses_them(free: bool) -> None:
    machine, backing, workload = build()
    counters = PageCounters(EAGER, free=free)
    counters.start(machine)
    machine.timeline.advance_to(30 * SECOND)
    assert (backing.node == np.repeat([0, 1], 200)).all()
    assert workload.figures().local == pytest.approx(1.0)
    assert machine.workings().moving.pages == {(0, 1): 200}
    assert (counters.moving_ns == 0) == (counters.deciding_ns == 0) == free


def test_hot_pages_come_first() -> None:
    machine, backing, _ = build([200 if page % 10 == 0 else 2 for page in range(400)])
    PageCounters(replace(EAGER, accesses_per_sample=300_000)).start(machine)
    machine.timeline.advance_to(11 * SECOND)
    came = backing.node[200:] == 1
    hot = np.arange(200, 400) % 10 == 0
    assert came[hot].mean() > 3 * came[~hot].mean()


def test_counters_that_miss_everything_move_nothing() -> None:
    machine, backing, _ = build()
    PageCounters(replace(EAGER, missed=1.0)).start(machine)
    machine.timeline.advance_to(60 * SECOND)
    assert (backing.node == 0).all()


def test_a_region_may_be_a_part_of_its_memory() -> None:
    machine, backing, _ = build(first=100)
    PageCounters(EAGER).start(machine)
    machine.timeline.advance_to(60 * SECOND)
    assert (backing.node == np.repeat([0, 1], 200)).all()


def test_the_same_machine_sees_the_same() -> None:
    ends = []
    for _ in range(2):
        machine, backing, workload = build()
        PageCounters(replace(EAGER, accesses_per_sample=50_000)).start(machine)
        machine.timeline.advance_to(12 * SECOND)
        ends.append((backing.node.tolist(), workload.accesses().tolist(), machine.workings().lock))
    assert ends[0] == ends[1]


SCENARIO = """\
scenario: 1
title: small
kernel: {kernel}
nodes:
  - {{id: 0, cpus: 0-1, memory: 64MiB}}
  - {{id: 1, cpus: 2-3, memory: 64MiB}}
remap: {{executor: push, retry: {{mode: until, deadline: 3ms, second_pass: null}}}}
processes:
  - name: openmp
    pid: 5
    threads: 4
    runs_on: [0, 1]
    workload: {{compute: 100ns, split: true}}
    regions: [{{kind: anon, size: 8MiB, nodes: {{0: 1}}}}]
actors:
  - {{kind: page-counters, accesses_per_sample: 500, missed: 10%, decide: 20us, interval: 1s}}
"""


def written(tmp_path: Path, kernel: str) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.format(kernel=kernel))
    return path


def test_a_scenario_may_have_them_and_set_the_call(tmp_path: Path) -> None:
    machine = load_machine(written(tmp_path, "ia64-2004-rescan"))
    settings = machine.remapping.settings
    assert settings.executor is Executor.PUSH
    plan = settings.retry
    assert (plan.mode, plan.deadline_ns, plan.second_pass_ns) == (Retry.UNTIL, 3_000_000, None)
    machine.timeline.advance_to(10 * SECOND)
    assert machine.workings().moving.pages.get((0, 1), 0) > 100
    assert machine.workings().workloads[0].local > 0.9


def test_todays_kernels_have_no_such_call(tmp_path: Path) -> None:
    with pytest.raises(FileError) as refused:
        load_machine(written(tmp_path, "linux-6.12"))
    assert "for the kernels of 2004" in str(refused.value)
    assert {fault.line for fault in refused.value.faults} == {7, 16}


@pytest.mark.parametrize("name", ["ia64-2004-hold-lock", "ia64-2004-rescan"])
def test_the_shipped_scenarios_are_the_machine_of_the_thread(name: str) -> None:
    machine = load_machine(find_scenario(name))
    assert machine.kernel.name == name and machine.page_bytes == 16384 and machine.cpus == 16
    assert {machine.access.latency_ns(a, b) for a in machine.nodes for b in machine.nodes} == {200.0, 450.0}
    (workload,) = machine.workloads
    assert workload.figures().local == pytest.approx(0.25, abs=0.01)
