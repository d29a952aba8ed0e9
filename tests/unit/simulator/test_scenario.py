"""Scenarios: the shipped one, determinism, and faults with their lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.simulator.memory import ABSENT
from numamig.backends.simulator.scenario import load_machine
from numamig.errors import FileError
from numamig.resources import find_scenario

GOOD = """scenario: 1
title: small
nodes:
  - {id: 0, cpus: 0-1, memory: 64MiB}
  - {id: 4, memory: 64MiB}
processes:
  - name: db
    pid: 10
    regions:
      - {kind: anon, size: 8MiB, nodes: {0: 3, 4: 1}, pattern: halves}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text)
    return path


def test_the_shipped_scenario_is_worth_looking_at() -> None:
    machine = load_machine(find_scenario("four-node-db"))
    assert sorted(machine.nodes) == [0, 1, 2, 3]
    assert [node.id for node in machine.nodes.values() if not node.cpus] == [3]
    assert len([p for p in machine.processes.values() if not p.kernel_thread]) >= 12
    for node in machine.nodes.values():
        assert 0 < node.free_pages < node.total_pages


def test_the_same_scenario_is_the_same_machine() -> None:
    one, other = (load_machine(find_scenario("four-node-db")) for _ in range(2))
    for pid, process in one.processes.items():
        for mine, theirs in zip(process.regions, other.processes[pid].regions, strict=True):
            assert mine.start == theirs.start
            assert np.array_equal(mine.backing.node, theirs.backing.node)
            assert np.array_equal(mine.backing.flags, theirs.backing.flags)


def test_used_and_free_memory_add_up() -> None:
    machine = load_machine(find_scenario("four-node-db"))
    backings = {id(r.backing): r.backing for p in machine.processes.values() for r in p.regions}
    held = np.sum([np.bincount(b.node[b.node != ABSENT], minlength=8) for b in backings.values()], axis=0)
    used = {0: 2 << 18, 1: 1 << 18, 2: 1 << 18, 3: 1 << 17}
    for node in machine.nodes.values():
        assert node.total_pages - node.free_pages == int(held[node.id]) + used[node.id]


def test_placement_follows_weights(tmp_path: Path) -> None:
    machine = load_machine(write(tmp_path, GOOD))
    (region,) = machine.processes[10].regions
    assert np.bincount(region.backing.node)[[0, 4]].tolist() == [1536, 512]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("title: small", "titel: small", "s.yaml:2:1: unknown key 'titel': did you mean 'title'?"),
        (
            "memory: 64MiB}\n  - {id: 4",
            "memory: lots}\n  - {id: 4",
            "s.yaml:4:32: nodes.0.memory: 'lots' is not a size",
        ),
        ("id: 4", "id: 0", "two nodes have the same id"),
        ("nodes: {0: 3, 4: 1}", "nodes: {0: 3, 7: 1}", "names node 7, which is not there"),
        ("size: 8MiB", "size: 1GiB", "node 0 is 705 MiB too small"),
        ("title: small", "title: small\nkernel: linux-2.4", "kernel 'linux-2.4' is not known"),
        ("pattern: halves", "pattern: stripes", "s.yaml:10:64: processes.0.regions.0.pattern"),
        ("scenario: 1", "scenario: 2", "s.yaml:1:11: scenario"),
    ],
)
def test_faults_have_their_line(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    with pytest.raises(FileError) as caught:
        load_machine(write(tmp_path, GOOD.replace(old, new)))
    assert fault in str(caught.value)
