"""What a plan says of the pages that it means: room, sharing, policies, pins, and how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from numamig.backends.base import Capabilities
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import HUGE_PAGES, Backing, Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.errors import RefusedError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import Plan, make_plan, plan_request
from numamig.migrate.preflight import look
from numamig.migrate.preflight.pages import bound_nodes
from numamig.migrate.preflight.room import thp_room
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.finding import Finding, Severity
from numamig.model.process import RegionKind, RegionPolicy
from tests.machines import PID, START, add_process, machine

MIB = 1 << 20


class Policed(SimulatorBackend):
    """The simulator has no policies of its own: here they are told, by a walk as on a real machine."""

    told: Sequence[RegionPolicy] = ()
    asked = 0

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, simulated=False)

    def policies(self, pid: int) -> Sequence[RegionPolicy]:
        self.asked += 1
        return self.told


def found(plan: Plan, check: str) -> Finding:
    (finding,) = [each for each in plan.findings if each.check == check]
    return finding


def absent(plan: Plan, check: str) -> bool:
    return check not in {each.check for each in plan.findings}


def test_room_is_what_is_free_above_the_reserve() -> None:
    backend = machine(1 << 18, 25_600)  # node 1: 100 MiB, of which 5 are kept
    add_process(backend, [0] * (96 * 256))
    plan = plan_request(backend, Request(PID, Node(1)))
    assert found(plan, "room").severity is Severity.WARNING
    assert found(plan, "room").reason == ("node 1 has 100 MiB free, 96 MiB are to move there, and 5.0M are kept free")
    assert found(plan_request(backend, Request(PID, Node(1), reserve_bytes=4 * MIB)), "room").severity is Severity.OK
    plan.demand_possible()


def hugetlb_process(backend: SimulatorBackend, pages: int) -> None:
    backing = Backing.untouched(pages * HUGE_PAGES)
    backend.machine.place(backing, 0, np.zeros(pages * HUGE_PAGES, np.uint8), Flag.LARGE)
    region = SimRegion(START, backing, RegionKind.HUGETLB, page_size=2 * MIB)
    backend.machine.add(SimProcess(PID, "workload", regions=[region]))


@pytest.mark.parametrize(("free", "warned"), [(4, False), (3, True), (0, True)])
def test_hugetlb_pages_against_the_pool_of_the_target(free: int, warned: bool) -> None:
    backend = machine()
    backend.machine.nodes[1].pool_total, backend.machine.nodes[1].pool_free = 4, free
    hugetlb_process(backend, 4)
    plan = plan_request(backend, Request(PID, Node(1)))
    assert plan.pages == 4 * HUGE_PAGES
    assert absent(plan, "hugetlb") is not warned
    if warned:
        assert f"4 hugetlb pages of 2.0M are to move, and the pool of node 1 has {free} free" in str(plan.warnings)
    assert absent(plan, "thp")


@pytest.mark.parametrize(("room", "warned"), [(None, False), (3, False), (2, True)])
def test_huge_pages_against_unbroken_memory(room: int | None, warned: bool) -> None:
    backend = machine()
    add_process(backend, [0] * (3 * HUGE_PAGES), huge=True)
    request = Request(PID, Node(1))
    seen = look(backend, request)
    told = thp_room(seen.topology, room, request, seen.tally)
    assert [finding.severity for finding in told] == [Severity.WARNING] * warned


def share(backend: SimulatorBackend, region: int = 0) -> None:
    """Another process maps all of a region."""
    backing = backend.machine.process(PID).regions[region].backing
    backing.sharers[:] += 1
    backend.machine.processes[8] = SimProcess(8, "other", regions=[SimRegion(START, backing)])


def test_shared_pages_would_stay() -> None:
    backend = machine()
    add_process(backend, [0] * 600, [0] * 200)
    share(backend, 1)
    plan = plan_request(backend, Request(PID, Node(1)))
    assert found(plan, "shared").severity is Severity.WARNING
    assert found(plan, "shared").reason == "25 % of what is to move is mapped by other processes too, and stays"
    assert found(plan, "shared").remedy.startswith("--shared ")
    assert found(plan_request(backend, Request(PID, Node(1), shared=True)), "shared").severity is Severity.OK
    assert (
        "nothing of what is to move"
        in found(plan_request(backend, Request(PID, Node(1), within=[(START, START + 4096)])), "shared").reason
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_holds_its_error(seed: int) -> None:
    """Of pages on the source nodes only, in random order; the truth is what a job leaves behind for being shared."""
    backend = machine(1 << 19, 1 << 19)
    random = np.random.default_rng(seed)
    pages = 200_000
    (backing,) = add_process(backend, random.integers(0, 2, pages).astype(np.uint8))
    others = np.zeros(pages, bool)
    others[random.integers(0, pages) :] = True
    others ^= random.random(pages) < 0.1
    backing.sharers[others] += 1
    backend.machine.processes[8] = SimProcess(8, "other", regions=[SimRegion(START, backing)])
    truth = others[backing.node == 0].mean()
    shared = look(backend, Request(PID, Node(1))).shared
    assert shared is not None
    assert abs(shared.share - truth) <= shared.error
    assert 0 < shared.error < 0.03


def test_a_region_bound_elsewhere_is_an_error() -> None:
    backend = Policed(machine().machine)
    add_process(backend, [0] * 100, [0] * 200, [255] * 10)
    regions = backend.regions(PID)
    backend.told = [
        RegionPolicy(regions[0].start, "prefer:0"),
        RegionPolicy(regions[1].start, "bind=static:0,2"),
        RegionPolicy(regions[2].start, "bind:0"),
    ]
    plan = plan_request(backend, Request(PID, Node(1)))
    error = found(plan, "policy")
    assert error.severity is Severity.ERROR
    assert f"800K of what is to move are bound away from node 1 by their memory policy: 0x{regions[1].start:x}-" in (
        error.reason
    )
    assert "bind=static:0,2" in error.reason
    assert f"{regions[2].start:x}" not in error.reason, "nothing of it would move"
    assert error.remedy.startswith("move to node 0,2, choose other pages with --address or --kind")
    with pytest.raises(RefusedError, match="bound away from node 1"):
        plan.demand_possible()
    for allowed in (
        Request(PID, Node(2)),
        Request(PID, Node(1), within=[(regions[0].start, regions[0].end)]),
    ):
        assert found(plan_request(backend, allowed), "policy").severity is Severity.OK


@pytest.mark.parametrize(
    ("policy", "nodes"),
    [
        ("bind:0-1,3", (0, 1, 3)),
        ("bind=static|balancing:2", (2,)),
        ("bind=relative:0", (0,)),
        ("default", None),
        ("local", None),
        ("prefer:1", None),
        ("prefer (many):0", None),
        ("interleave:0,2", None),
        ("weighted interleave:0-1", None),
    ],
)
def test_only_binding_forbids(policy: str, nodes: tuple[int, ...] | None) -> None:
    assert bound_nodes(policy) == nodes


def test_policies_are_the_last_to_be_asked_for() -> None:
    """They cost a walk over all page tables: not where an error is known, nor of a very large process."""
    backend = Policed(machine().machine)
    add_process(backend, [0] * 10, mems_allowed=frozenset({0}))
    add_process(backend, [1] * 10, pid=8)
    assert absent(plan_request(backend, Request(PID, Node(1))), "policy")
    assert absent(plan_request(backend, Request(8, Node(1))), "policy"), "nothing to move"
    assert backend.asked == 0
    add_process(backend, [0] * 10, pid=9)
    backend.machine.process(9).regions[0].backing.resident_pages = (2 << 30) // 4096
    told = found(plan_request(backend, Request(9, Node(1))), "policy")
    assert told.severity is Severity.WARNING
    assert "not looked at: for 2.0G" in told.reason
    assert told.remedy.startswith("numamig show 9 --policies")
    assert backend.asked == 0
    backend.machine.process(9).regions[0].backing.resident_pages = (1 << 30) // 4096
    assert found(plan_request(backend, Request(9, Node(1))), "policy").severity is Severity.OK
    assert backend.asked == 1


def test_pinned_pages() -> None:
    backend = machine()
    add_process(backend, [0] * 100, flags=dict.fromkeys(range(10), Flag.PINNED))
    told = found(plan_request(backend, Request(PID, Node(1))), "pinned")
    assert told.severity is Severity.WARNING
    assert told.reason == "40K of the process are pinned, up to 10% of what is to move: such pages stay"
    add_process(backend, [0] * 100, pid=8)
    assert absent(plan_request(backend, Request(8, Node(1))), "pinned")


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize(
    ("pages", "huge", "asked"),
    [
        (20_000, False, {"most_calls": None}),
        (20_000, False, {}),
        (20_000, False, {"rate": 40 * MIB}),
        (40 * HUGE_PAGES, True, {"most_calls": None}),
        (100, False, {"batch_pages": 7, "most_calls": None}),
    ],
)
def test_a_job_takes_as_long_as_was_estimated(kernel: str, pages: int, huge: bool, asked: dict[str, int]) -> None:
    backend = machine(kernel=kernel)
    add_process(backend, [0] * pages, huge=huge)
    plan = plan_request(backend, Request(PID, Node(1), **asked))  # type: ignore[arg-type]
    job = Job(1, backend, plan)
    for _ in run_job(job, backend):
        pass
    assert job.snapshot().outcomes.total == pages
    assert plan.estimate_ns == pytest.approx(job.snapshot().busy_ns, rel=0.15)


def test_the_estimate_is_told() -> None:
    backend = machine()
    add_process(backend, [0] * 51_200)
    plan = plan_request(backend, Request(PID, Node(1), most_calls=10))
    told = found(plan, "estimate")
    assert told.severity is Severity.OK
    assert told.reason.startswith("about 9.9 s in 100 calls of 512 pages; the limit of 10 calls a second decides; ")
    assert "(estimate)" in told.reason
    said = plan.as_dict()
    assert said["estimate_seconds"] == pytest.approx(9.9)
    assert said["estimated_stall_seconds"] == pytest.approx(0.00057, rel=0.02)


def test_a_budget_below_the_cost_of_one_page_is_told() -> None:
    backend = machine()
    add_process(backend, [0] * 512, huge=True)
    assert "cannot be held" in found(plan_request(backend, Request(PID, Node(1), budget_ns=100_000)), "budget").reason
    assert absent(plan_request(backend, Request(PID, Node(1), budget_ns=1_000_000)), "budget")


def test_no_estimate_for_kernels_of_another_kind() -> None:
    backend = machine(kernel="ia64-2004-hold-lock")
    add_process(backend, [0] * 10)
    plan = plan_request(backend, Request(PID, Node(1)))
    assert plan.estimate_ns is None
    assert absent(plan, "estimate")


def test_a_plan_is_a_function_of_what_was_seen() -> None:
    backend = machine()
    add_process(backend, [0] * 10)
    request = Request(PID, Node(1))
    seen = look(backend, request)
    before = make_plan(seen, request)
    backend.machine.end(PID)
    assert make_plan(seen, request) == before
