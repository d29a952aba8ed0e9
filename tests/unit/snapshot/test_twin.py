"""The twin of a machine: it shows what the original shows, moves as the original would, and leaves it alone.

The original is a simulated machine here, since what is in it is known; in the laboratory it is a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, Capabilities, MovePagesCall, TellsHugeRoom
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import PAGE, Backing, Flag
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.backends.snapshot.backend import SnapshotBackend
from numamig.backends.snapshot.machine import kernel_like
from numamig.backends.snapshot.sharing import take_sharing
from numamig.backends.wrappers import ReadOnly
from numamig.errors import RefusedError, TargetGone
from numamig.model.pages import PageRuns
from numamig.model.process import RegionKind, RegionPolicy
from numamig.model.topology import HugePool, NodeCounters, Watermarks
from tests.machines import PID, START, add_process, machine, pages_by_node

KERNELS = ("linux-6.1", "linux-6.12")


def everything(backend: SimulatorBackend, pid: int = PID) -> list[tuple[int, int, int]]:
    """(address, bytes, node) of every folio."""
    ranges = [(region.start, region.end) for region in backend.regions(pid)]
    runs = PageRuns.concatenate(backend.page_runs(pid, ranges))
    address, size, node = runs.folios()
    return list(zip(address.tolist(), size.tolist(), node.tolist(), strict=True))


def filled(kernel: str = "linux-6.12", caller: Caller = Caller()) -> tuple[SimulatorBackend, list[Backing]]:
    """Small pages, some shared, some never touched; huge pages; a pool; and a second process."""
    backend = machine(kernel=kernel, caller=caller)
    small, huge = add_process(backend, [0] * 3000 + [255] * 50 + [1] * 100, [255] * 1024, cpu_nodes=(1,), threads=4)
    backend.machine.place(huge, 0, np.full(512, 0, np.uint8), Flag.LARGE)
    small.sharers[700:900] = 2
    pool = Backing.untouched(1024)
    backend.machine.place(pool, 0, np.full(1024, 0, np.uint8), Flag.LARGE)
    process = backend.machine.processes[PID]
    start = process.regions[-1].end + (4 << 20)
    process.regions.append(SimRegion(start, pool, RegionKind.HUGETLB, page_size=512 * PAGE, path="/dev/hugepages/x"))
    other = Backing.untouched(256)
    backend.machine.place(other, 0, np.full(256, 2, np.uint8))
    backend.machine.add(SimProcess(4712, "other", regions=[SimRegion(START, other)], start_time=7))
    return backend, [small, huge, pool, other]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_twin_shows_what_the_original_shows(kernel: str) -> None:
    original, _ = filled(kernel)
    twin = SnapshotBackend(original)
    assert everything(twin) == everything(original)
    assert list(twin.regions(PID)) == list(original.regions(PID))
    assert twin.topology() == original.topology()
    assert twin.processes() == original.processes()
    assert twin.process(PID) == original.process(PID)
    assert twin.process_facts(PID) == original.process_facts(PID)
    assert twin.node_counters().free_bytes == original.node_counters().free_bytes
    assert twin.node_counters().huge_pools == original.node_counters().huge_pools
    assert twin.hazards(PID) == original.hazards(PID)
    assert twin.policies(PID) == original.policies(PID)
    addresses = np.array([address for address, _, _ in everything(original)], np.uint64)
    assert twin.shared_pages(PID, addresses).tolist() == original.shared_pages(PID, addresses).tolist()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("flags", [MPOL_MF_MOVE, MPOL_MF_MOVE_ALL])
@pytest.mark.parametrize("target", [1, 2, 9])
def test_it_answers_a_moving_call_as_the_original_then_does(kernel: str, flags: int, target: int) -> None:
    original, backings = filled(kernel)
    before = [backing.node.copy() for backing in backings]
    twin = SnapshotBackend(original)
    addresses = np.array([address for address, _, _ in everything(original)], np.uint64)
    nodes = np.full(len(addresses), target, np.int32)
    predicted = twin.move_pages(PID, addresses, nodes, flags)
    assert all((backing.node == was).all() for backing, was in zip(backings, before, strict=True))
    real = original.move_pages(PID, addresses, nodes, flags)
    assert (predicted.returned, predicted.errno) == (real.returned, real.errno)
    assert predicted.status.tolist() == real.status.tolist()
    assert everything(twin) == everything(original)
    assert twin.node_counters().free_bytes == original.node_counters().free_bytes
    assert [node.free_bytes for node in twin.topology().nodes] == [
        node.free_bytes for node in original.topology().nodes
    ]


def test_a_full_node_is_full_for_the_twin_too() -> None:
    original = machine(1 << 18, 400)
    original.machine.nodes[1].reserve_pages = 100
    add_process(original, [0] * 1000)
    twin = SnapshotBackend(original)
    addresses = START + np.arange(1000, dtype=np.uint64) * PAGE
    nodes = np.ones(1000, np.int32)
    predicted, real = twin.move_pages(PID, addresses, nodes), original.move_pages(PID, addresses, nodes)
    assert (predicted.returned, predicted.errno) == (real.returned, real.errno) == (-1, 12)
    assert everything(twin) == everything(original)
    assert sum(node == 1 for _, _, node in everything(twin)) == 300


def test_a_cpuset_holds_for_the_twin_too() -> None:
    original = machine()
    add_process(original, [0] * 10, mems_allowed=frozenset({0, 2}))
    twin = SnapshotBackend(original)
    addresses = START + np.arange(10, dtype=np.uint64) * PAGE
    for backend in (twin, original):
        answer = backend.move_pages(PID, addresses, np.ones(10, np.int32))
        assert (answer.returned, answer.errno) == (-1, 13)


def test_calls_made_together_are_answered_too() -> None:
    original, _ = filled()
    twin = SnapshotBackend(original)
    addresses = START + np.arange(64, dtype=np.uint64) * PAGE
    nodes = np.full(64, 2, np.int32)
    calls = [MovePagesCall(PID, addresses, nodes, MPOL_MF_MOVE), MovePagesCall(99, addresses, nodes, MPOL_MF_MOVE)]
    moved, nobody = twin.move_pages_together(calls)
    assert (moved.status == 2).all()
    assert (nobody.returned, nobody.errno) == (-1, 3)


def test_a_process_that_is_not_there_or_may_not_be_looked_at() -> None:
    original, _ = filled(caller=Caller("ada", sys_nice=False, sys_ptrace=False, sys_admin=False))
    twin = SnapshotBackend(original)
    with pytest.raises(TargetGone):
        twin.regions(99)
    with pytest.raises(RefusedError):
        twin.regions(PID)
    answer = twin.move_pages(PID, np.array([START], np.uint64), np.array([1], np.int32))
    assert (answer.returned, answer.errno) == (-1, 1)
    assert twin.taken == ()


def test_a_process_is_as_it_was_when_it_was_first_looked_into() -> None:
    original, (small, *_) = filled()
    twin = SnapshotBackend(original)
    seen = everything(twin)
    original.machine.relocate(small, slice(0, 1000), 2)
    assert everything(twin) == seen
    assert [taken.process.pid for taken in twin.taken] == [PID]


def test_heat_is_that_of_the_originals_pages() -> None:
    original = machine()
    (backing,) = add_process(original, [0] * 4000)
    backing.heat = np.where(np.arange(4000) < 2000, 0, 200).astype(np.uint8)
    twin = SnapshotBackend(original)
    start = START + np.array([0, 2000], np.uint64) * PAGE
    end = start + np.uint64(2000 * PAGE)
    cold, hot = twin.heat(PID, start, end).tolist()
    assert cold < hot
    assert [cold, hot] == original.heat(PID, start, end).tolist()
    with pytest.raises(RefusedError, match="in use"):
        SnapshotBackend(Bare(original)).heat(PID, start, end)  # type: ignore[arg-type]


def test_hidden_pages_are_hidden_in_the_twin_too() -> None:
    original = machine(kernel="linux-6.1", caller=Caller(sys_admin=False))
    add_process(original, [0] * 20, flags=dict.fromkeys(range(5, 9), Flag.HINTED))
    twin = SnapshotBackend(original)
    assert twin.take(PID).hidden_pages == 4
    assert everything(twin) == everything(original)
    addresses = START + np.arange(20, dtype=np.uint64) * PAGE
    asked = [backend.move_pages(PID, addresses, None).status.tolist() for backend in (twin, original)]
    assert asked[0] == asked[1]


def test_many_pages_are_probed_for_sharing_by_a_sample() -> None:
    original, backings = filled()
    small, _, pool, _ = backings
    small.sharers[:] = np.where((np.arange(len(small.node)) // 1000) % 2, 2, 1)
    pool.sharers[:512] = 2
    twin = SnapshotBackend(original)
    twin.take(PID)
    extents = twin.machine.processes[PID].regions
    asked: list[int] = []

    def ask(addresses: NDArray[np.uint64]) -> NDArray[np.int8]:
        asked.extend(addresses.tolist())
        return original.shared_pages(PID, addresses)

    exact = take_sharing(ask, extents)
    assert (exact.folios, exact.probed, len(asked), exact.estimated) == (3103, 3103, 3103, False)
    assert exact.shared_pages == 1000 + 100 + 512
    asked.clear()
    sampled = take_sharing(ask, extents, most_probes=100)
    assert (sampled.folios, sampled.probed, sampled.estimated) == (3103, len(asked), True)
    assert len(asked) <= 100 + len(extents)
    assert abs(sampled.shared_pages - 1612) <= 3 * 47  # at each end of a stretch


class Bare:
    """A machine of somebody else: it has what the protocol asks for, and no optional ability."""

    name = "bare"

    def __init__(self, inside: SimulatorBackend) -> None:
        self._inside = inside

    def __getattr__(self, name: str) -> object:
        if name in ("capabilities", "clock", "topology", "processes", "process", "hold", "regions", "page_runs"):
            return getattr(self._inside, name)
        if name in ("move_pages", "move_pages_together", "node_counters"):
            return getattr(self._inside, name)
        raise AttributeError(name)


def test_what_the_original_does_not_tell_is_not_made_up() -> None:
    original, _ = filled()
    twin = SnapshotBackend(Bare(original))  # type: ignore[arg-type]
    assert not isinstance(twin, TellsHugeRoom)
    assert twin.take(PID).sharing is None
    with pytest.raises(RefusedError):
        twin.shared_pages(PID, np.array([START], np.uint64))
    assert everything(twin) == everything(original)
    assert twin.process_facts(PID).may_move
    assert twin.policies(PID) == [RegionPolicy(region.start, "default") for region in original.regions(PID)]


class Told(SimulatorBackend):
    """Tells of its nodes what Linux does."""

    def node_counters(self) -> NodeCounters:
        cache = {"nr_inactive_file": 300, "nr_active_file": 200, "nr_mapped": 150}
        return replace(
            super().node_counters(),
            watermarks={1: Watermarks(40 * PAGE, 50 * PAGE, 60 * PAGE)},
            node_vmstat={1: cache},
            huge_pools={1: (HugePool(2 << 20, 3, 2, 0), HugePool(1 << 30, 0, 0, 0))},
        )

    def huge_room(self, node: int) -> int:
        return 7 if node == 0 else 0

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, kernel="6.1.0-56-amd64", machine="box", simulated=False)


def told() -> Told:
    original = Told(machine(1 << 18, 1000, kernel="linux-6.1").machine)
    original.machine.nodes[1].total_pages = 4000
    add_process(original, [0] * 2000)
    return original


def test_watermarks_pools_and_page_cache_are_those_of_the_original() -> None:
    twin = SnapshotBackend(told())
    counters, node = twin.node_counters(), twin.machine.nodes[1]
    assert counters.watermarks == {1: Watermarks(40 * PAGE, 50 * PAGE, 60 * PAGE)}
    assert counters.huge_pools[1][0].total == 3
    assert (node.free_pages, node.reserve_pages, node.cache_pages) == (1000, 40, 350)
    addresses = START + np.arange(2000, dtype=np.uint64) * PAGE
    assert twin.move_pages(PID, addresses, np.ones(2000, np.int32)).errno == 12
    assert sum(node == 1 for _, _, node in everything(twin)) == 1000 + 350 - 40
    assert twin.node_counters().vmstat["pgmigrate_success"] == 1310


def test_it_says_what_it_is_a_twin_of_and_that_it_is_one() -> None:
    twin = SnapshotBackend(told())
    has = twin.capabilities
    assert (twin.name, has.kernel, has.machine) == ("snapshot", "6.1.0-56-amd64", "box")
    assert (has.simulated, has.virtual_time, has.lasting) == (True, True, False)
    assert isinstance(twin, TellsHugeRoom)
    assert (twin.huge_room(0), twin.huge_room(1)) == (7, 0)


def test_a_large_process_is_not_walked_over_for_its_policies() -> None:
    class Large(Told):
        def process(self, pid: int):  # type: ignore[no-untyped-def]
            return replace(super().process(pid), resident_bytes=(1 << 30) + 1)

        def policies(self, pid: int):  # type: ignore[no-untyped-def]
            raise AssertionError("walked over")

    with pytest.raises(RefusedError, match="not looked at"):
        SnapshotBackend(Large(told().machine)).policies(PID)


@pytest.mark.parametrize(
    ("release", "profile"),
    [
        ("6.1.0-56-amd64", "linux-6.1"),
        ("5.10.0-21-cloud", "linux-6.1"),
        ("6.6.12", "linux-6.12"),
        ("6.12.117+deb13-amd64", "linux-6.12"),
        ("7.0-rc1", "linux-6.12"),
        ("ia64-2004-rescan", "ia64-2004-rescan"),
        ("something else", "linux-6.12"),
    ],
)
def test_the_kernel_that_is_nearest(release: str, profile: str) -> None:
    topology = replace(machine().topology(), page_size=65536, huge_page_size=512 << 20)
    kernel = kernel_like(release, topology)
    assert (kernel.name, kernel.page_bytes, kernel.huge_pages) == (profile, 65536, 8192)


@pytest.fixture
def looked_at() -> Iterator[tuple[ReadOnly, SimulatorBackend, Backing]]:
    original, (small, *_) = filled()
    yield ReadOnly(original), original, small


def test_who_may_only_look_moves_nothing(looked_at: tuple[ReadOnly, SimulatorBackend, Backing]) -> None:
    only, original, small = looked_at
    before = pages_by_node(small)
    addresses, nodes = np.array([START], np.uint64), np.array([2], np.int32)
    with pytest.raises(RefusedError, match="no page of it moves"):
        only.move_pages(PID, addresses, nodes)
    with pytest.raises(RefusedError, match="no page of it moves"):
        only.move_pages_together([MovePagesCall(PID, addresses, nodes, MPOL_MF_MOVE)])
    assert only.move_pages(PID, addresses, None).status.tolist() == [0]
    assert not hasattr(only, "clear_hints")
    assert (pages_by_node(small), original.machine.moving_calls) == (before, 0)
