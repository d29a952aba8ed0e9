"""Actors in a scenario: what may be said of them, and that they act."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.scenario import load_machine
from numamig.errors import FileError
from tests.machines import pages_by_node

SCENARIO = """scenario: 1
title: acting
kernel: {kernel}
nodes:
  - {{id: 0, cpus: 0-1, memory: 64MiB, tier: 0}}
  - {{id: 1, cpus: 2-3, memory: 64MiB, tier: 0}}
  - {{id: 2, memory: 256MiB, tier: {tier}}}
processes:
  - name: db
    pid: 10
    runs_on: [1]
    workload: {{compute: 100ns}}
    regions: [{{kind: heap, size: 16MiB, nodes: {{0: 1}}}}]
  - name: idle
    pid: 20
    regions: [{{kind: heap, size: {idle}MiB, nodes: {{0: 1}}}}]
actors:
  - {actor}
"""
SECOND = 10**9


def load(folder: Path, actor: str, kernel: str = "linux-6.1", tier: int = 1, idle: int = 1) -> SimulatorBackend:
    path = folder / "acting.yaml"
    path.write_text(SCENARIO.format(actor=actor, kernel=kernel, tier=tier, idle=idle))
    return SimulatorBackend(load_machine(path))


def placed(backend: SimulatorBackend, pid: int) -> dict[int, int]:
    return pages_by_node(*(region.backing for region in backend.machine.processes[pid].regions))


def test_balancing(tmp_path: Path) -> None:
    backend = load(tmp_path, "{kind: balancing, scan_delay: 10ms, scan_period_min: 50ms, scan_size: 8MiB}")
    assert backend.capabilities.balancing
    backend.clock.sleep_ns(SECOND)
    assert placed(backend, 10) == {1: 4096} and placed(backend, 20) == {0: 256}


def test_demotion(tmp_path: Path) -> None:
    backend = load(tmp_path, "{kind: demotion}", idle=47)
    assert backend.node_counters().switches.demotion
    backend.clock.sleep_ns(SECOND)
    # 1 MiB was free, and the low watermark is a quarter above 1 % of 64 MiB: nothing happens before more is taken.
    assert placed(backend, 20) == {0: 47 * 256}
    backend.machine.nodes[0].free_pages -= 100
    backend.clock.sleep_ns(SECOND)
    assert placed(backend, 20)[2] > 0 and placed(backend, 10) == {0: 4096}


def test_second_tool(tmp_path: Path) -> None:
    backend = load(tmp_path, "{kind: second-tool, pid: 10, to: 2, from: [0], at: 1s, every: 1s, pages: 1000}")
    backend.clock.sleep_ns(SECOND)
    assert placed(backend, 10) == {0: 4096}
    backend.clock.sleep_ns(SECOND // 2)
    assert placed(backend, 10) == {0: 3096, 2: 1000}
    backend.clock.sleep_ns(10 * SECOND)
    assert placed(backend, 10) == {2: 4096}


@pytest.mark.parametrize(("victims", "calls", "holds"), [("list", 8, 8), ("range", 2, 2), ("process", 1, 1)])
def test_a_second_tool_names_its_victims(tmp_path: Path, victims: str, calls: int, holds: int) -> None:
    """1,024 pages of one region and 3,072 of another: eight lists of 512, two ranges, one process."""
    regions = "regions: [{kind: heap, size: 16MiB, nodes: {0: 1}}, {kind: anon, size: 48MiB, nodes: {1: 1}}]"
    path = tmp_path / "acting.yaml"
    actor = f"{{kind: second-tool, pid: 10, to: 2, victims: {victims}}}"
    text = SCENARIO.format(actor=actor, kernel="ia64-2004-hold-lock", tier=1, idle=1)
    idle = "workload: {compute: 100ns}\n    regions: [{kind: heap, size: 16MiB, nodes: {0: 1}}]"
    assert idle in text
    path.write_text(text.replace(idle, regions))
    backend = SimulatorBackend(load_machine(path))
    backend.clock.sleep_ns(SECOND)
    assert placed(backend, 10) == {2: 4096} and placed(backend, 20) == {0: 64}
    now = backend.workings()
    assert (now.moving.calls, now.lock.holds) == (calls, holds)
    assert now.moving.outcomes == {"moved": 4096}


@pytest.mark.parametrize(
    ("actor", "kernel", "tier", "said"),
    [
        ("{kind: balance}", "linux-6.1", 1, "actors are: balancing, demotion, page-counters, second-tool"),
        ("{kind: balancing, scan_period_min: 2s, scan_period_max: 1s}", "linux-6.1", 1, "less than scan_period_min"),
        ("{kind: balancing}", "ia64-2004-rescan", 1, "knows no balancing"),
        ("{kind: demotion}", "linux-6.12", 0, "two tiers"),
        ("{kind: second-tool, pid: 11, to: 2}", "linux-6.1", 1, "no process with pid 11"),
        ("{kind: second-tool, pid: 10, to: 7}", "linux-6.1", 1, "no node 7"),
        ("{kind: second-tool, pid: 10, to: 1, every: 0s}", "linux-6.1", 1, "more than nothing"),
        (
            "{kind: second-tool, pid: 10, to: 1, victims: range}",
            "linux-6.1",
            1,
            "victims: range is for the kernels of 20",
        ),
        ("{kind: second-tool, pid: 10, to: 1, victims: all}", "linux-6.1", 1, "should be 'list', 'range' or 'process'"),
        ("{kind: second-tool, pid: 10, to: 1, victims: range, pages: 9}", "ia64-2004-rescan", 1, "pages: says nothing"),
        ("{kind: second-tool, pid: 10, to: 1, victims: range, from: [0]}", "ia64-2004-rescan", 1, "from: says nothing"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(tmp_path: Path, actor: str, kernel: str, tier: int, said: str) -> None:
    with pytest.raises(FileError, match=said) as caught:
        load(tmp_path, actor, kernel, tier)
    assert "acting.yaml:18" in str(caught.value)
