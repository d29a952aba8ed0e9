"""What the simulated kernel tells of processes and of who asks: policies of regions, and what a caller lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.scenario import load_machine
from numamig.errors import RefusedError
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.model.finding import Severity
from numamig.resources import find_scenario
from tests.machines import pages_by_node

SCENARIO = """scenario: 1
title: bound
kernel: linux-6.1
nodes:
  - {id: 0, cpus: 0-1, memory: 64MiB}
  - {id: 1, cpus: 2-3, memory: 64MiB}
  - {id: 2, memory: 64MiB}
processes:
  - name: db
    pid: 10
    runs_on: [1]
    workload: {compute: 100ns}
    regions:
      - {kind: heap, size: 4MiB, nodes: {0: 1}, policy: "bind:0,2"}
      - {kind: anon, size: 4MiB, nodes: {0: 1}}
      - {kind: anon, size: 4MiB, nodes: {1: 1}, policy: preferred:1}
      - {kind: anon, size: 4MiB, nodes: {0: 1}, policy: interleave:0-2}
      - {kind: stack, size: 128KiB, nodes: {1: 1}, policy: local}
actors:
  - {kind: balancing, scan_delay: 10ms, scan_period_min: 20ms, scan_size: 8MiB}
"""


@pytest.fixture
def bound(tmp_path: Path) -> SimulatorBackend:
    (tmp_path / "bound.yaml").write_text(SCENARIO)
    return SimulatorBackend(load_machine(tmp_path / "bound.yaml"))


def test_policies_are_told_as_numa_maps_writes_them(bound: SimulatorBackend) -> None:
    told = [each.policy for each in bound.policies(10)]
    assert told == ["bind:0,2", "default", "prefer:1", "interleave:0-2", "local"]
    assert [each.start for each in bound.policies(10)] == [each.start for each in bound.regions(10)]


def test_preflight_refuses_to_move_what_is_bound_elsewhere(bound: SimulatorBackend) -> None:
    to_1, to_2 = plan_request(bound, Request(10, Node(1))), plan_request(bound, Request(10, Node(2), sources=(0,)))
    (found,) = [finding for finding in to_1.findings if finding.check == "policy"]
    assert found.severity is Severity.ERROR
    assert found.reason.startswith("4.0M of what is to move are bound away from node 1") and "bind:0,2" in found.reason
    with pytest.raises(RefusedError, match="bound away from node 1"):
        to_1.demand_possible()
    to_2.demand_possible()


def test_balancing_leaves_alone_what_has_a_policy(bound: SimulatorBackend) -> None:
    bound.clock.sleep_ns(10**9)
    placed = [pages_by_node(region.backing) for region in bound.machine.processes[10].regions]
    assert placed == [{0: 1024}, {1: 1024}, {1: 1024}, {0: 1024}, {1: 32}]


def test_doctor_has_nothing_to_say_to_root() -> None:
    found = SimulatorBackend(load_machine(find_scenario("two-sockets"))).diagnose()
    assert {finding.check for finding in found} == {"machine", "heat"}
    assert {finding.severity for finding in found} == {Severity.OK}


def test_doctor_says_what_the_caller_lacks_and_how_the_scenario_gives_it() -> None:
    backend = SimulatorBackend(load_machine(find_scenario("every-state")))
    warned = {finding.check: finding.remedy for finding in backend.diagnose() if finding.severity is Severity.WARNING}
    assert warned == {
        "move_shared": "in the scenario: `caller: {sys_nice: true}`",
        "see_pfn": "in the scenario: `caller: {sys_admin: true}`",
    }
    assert set(backend.capabilities.missing) == {*warned, "heat"}
