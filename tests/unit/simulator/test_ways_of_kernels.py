"""What kernels answer about unusual memory: each of it was found by the differential test, and holds on real ones."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, UNWRITTEN
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import ABSENT, HUGE_PAGES, PAGE, Backing, Flag
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.model.pages import PageRuns
from numamig.model.process import RegionKind
from tests.machines import PID, START, machine

BOTH = pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])


def process(backend: SimulatorBackend, *regions: SimRegion, on: int = 0) -> Backing:
    """A process with these regions, all over one backing that lies on one node."""
    backing = regions[0].backing
    backend.machine.place(backing, 0, np.full(len(backing.node), on, np.uint8))
    backend.machine.add(SimProcess(PID, "workload", regions=list(regions)))
    return backing


def huge(pages: int = HUGE_PAGES, folio: int = HUGE_PAGES) -> Backing:
    backing = Backing.untouched(pages, folio_pages=folio)
    backing.flags[:] = Flag.LARGE
    return backing


def at(*pages: int) -> NDArray[np.uint64]:
    return np.array([START + page * PAGE for page in pages], np.uint64)


def move(backend: SimulatorBackend, *pairs: tuple[int, int], flags: int = MPOL_MF_MOVE) -> tuple[int, list[int]]:
    """Return value and statuses of moving (page, node)."""
    pages, nodes = zip(*pairs, strict=True)
    answer = backend.move_pages(PID, at(*pages), np.array(nodes, np.int32), flags)
    return answer.returned, answer.status.tolist()


def ask(backend: SimulatorBackend, *pages: int) -> list[int]:
    return backend.move_pages(PID, at(*pages), None).status.tolist()


@pytest.mark.parametrize(("kernel", "anonymous"), [("linux-6.1", errno.EFAULT), ("linux-6.12", errno.ENOENT)])
def test_never_touched(kernel: str, anonymous: int) -> None:
    for kind, number in (
        (RegionKind.ANON, anonymous),
        (RegionKind.STACK, anonymous),
        (RegionKind.SHMEM, errno.ENOENT),
        (RegionKind.FILE, errno.ENOENT),
        (RegionKind.HUGETLB, errno.ENOENT),
    ):
        backend = machine(kernel=kernel)
        process(backend, SimRegion(START, Backing.untouched(1), kind), on=ABSENT)
        assert ask(backend, 0) == [-number]
        assert move(backend, (0, 1)) == (0, [-number])


@BOTH
def test_the_vdso_has_pages_that_nobody_moves(kernel: str) -> None:
    backend = machine(kernel=kernel)
    backing = Backing.untouched(2)
    backing.sharers[:] = 2
    backing.flags[:] = Flag.ISOLATED
    process(backend, SimRegion(START, backing, RegionKind.SPECIAL, "r-xp", "[vdso]"))
    backing.node[1] = ABSENT
    assert ask(backend, 0, 1) == [0, -errno.ENOENT]
    assert move(backend, (0, 0), (0, 1), (1, 1)) == (0, [0, -errno.EACCES, -errno.ENOENT])
    assert move(backend, (0, 1), flags=MPOL_MF_MOVE_ALL) == (0, [-errno.EBUSY])


@pytest.mark.parametrize(("kernel", "asked"), [("linux-6.1", errno.EFAULT), ("linux-6.12", errno.ENOENT)])
def test_device_memory_has_none(kernel: str, asked: int) -> None:
    backend = machine(kernel=kernel)
    process(backend, SimRegion(START, Backing.untouched(2), RegionKind.SPECIAL, "r--p", "[vvar]"))
    assert ask(backend, 0) == [-asked]
    assert move(backend, (0, 1)) == (0, [-errno.EFAULT])


@pytest.mark.parametrize(("kernel", "other"), [("linux-6.1", -errno.EACCES), ("linux-6.12", 1)])
def test_a_page_of_a_pool_by_another_address_than_its_first(kernel: str, other: int) -> None:
    backend = machine(kernel=kernel)
    backing = process(backend, SimRegion(START, huge(), RegionKind.HUGETLB, page_size=2 << 20))
    assert move(backend, (7, 1), flags=MPOL_MF_MOVE_ALL) == (0, [other])
    assert set(backing.node.tolist()) == {1 if other == 1 else 0}
    assert move(backend, (0, 2)) == (0, [2])
    assert move(backend, (7, 2)) == (0, [2])


@pytest.mark.parametrize(
    ("kernel", "small", "whole"), [("linux-6.1", -errno.ENOENT, -errno.EFAULT), ("linux-6.12", 0, 0)]
)
def test_what_may_not_be_accessed(kernel: str, small: int, whole: int) -> None:
    """Whether one entry maps a huge page decides what older kernels call it; it stays hidden when it has moved."""
    backend = machine(kernel=kernel)
    region = SimRegion(START, huge(), permissions="---p")
    process(backend, region)
    assert ask(backend, 0, 9) == [whole] * 2
    region.length = 100
    assert ask(backend, 0, 9) == [small] * 2
    if small >= 0:
        assert move(backend, (0, 1))[1] == [1]


@pytest.mark.parametrize(("kernel", "seen"), [("linux-6.1", False), ("linux-6.12", True)])
def test_small_pages_that_may_not_be_accessed(kernel: str, seen: bool) -> None:
    backend = machine(kernel=kernel)
    backing = process(backend, SimRegion(START, Backing.untouched(4), permissions="---p"))
    answered = [1] * 2 if seen else [-errno.ENOENT] * 2
    assert move(backend, (0, 1), (1, 1)) == (0, answered)
    assert backing.node.tolist() == ([1, 1, 0, 0] if seen else [0] * 4)


def test_root_without_capabilities_may_not_look_at_root_with_them() -> None:
    backend = machine(caller=Caller(sys_ptrace=False))
    backend.machine.add(SimProcess(7, "daemon", capable=True))
    backend.machine.add(SimProcess(8, "container"))
    assert backend.move_pages(7, at(0), None).errno == errno.EPERM
    assert backend.move_pages(8, at(0), None).errno == 0


@BOTH
def test_a_page_that_is_held_keeps_all_of_its_folio(kernel: str) -> None:
    backend = machine(kernel=kernel)
    backing = process(backend, SimRegion(START, huge(2 * HUGE_PAGES)))
    backing.flags[300] |= np.uint8(Flag.PINNED)
    assert move(backend, (0, 1), (HUGE_PAGES, 1)) == (1, [UNWRITTEN] * 2)
    assert backing.node[[0, 300, 511, 512]].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("kernel", "splits"), [("linux-6.1", False), ("linux-6.12", True)])
def test_a_huge_page_of_which_a_part_is_gone(kernel: str, splits: bool) -> None:
    """Newer kernels split it, move all pieces, and count it as failed if another page of the run failed."""
    backend = machine(kernel=kernel)
    backing = process(backend, SimRegion(START, huge(2 * HUGE_PAGES)))
    backing.node[100:200], backing.sharers[100:200] = ABSENT, 0
    backing.flags[HUGE_PAGES] |= np.uint8(Flag.PINNED)
    returned, _ = move(backend, (3, 1), (HUGE_PAGES, 1))
    assert returned == (2 if splits else 1)
    assert set(backing.node[:100].tolist()) == set(backing.node[200:HUGE_PAGES].tolist()) == {1}
    assert (backing.node[100:200] == ABSENT).all()
    assert move(backend, (3, 2), (4, 2)) == (0, [2, 2 if splits else -errno.EBUSY])


def test_a_folio_of_64_kib_survives_one_move() -> None:
    backend = machine(kernel="linux-6.12")
    backing = process(backend, SimRegion(START, huge(32, 16)))
    assert move(backend, (1, 1), (2, 1)) == (0, [1, -errno.EBUSY])
    assert move(backend, (1, 2), (2, 2)) == (0, [2, -errno.EBUSY])
    assert set(backing.node[:16].tolist()) == {2}
    assert move(backend, (1, 0), (2, 0)) == (0, [0, 0])
    assert backing.node[:32].tolist() == [2] + [0] * 2 + [2] * 13 + [0] * 16


@pytest.mark.parametrize(("kernel", "first", "other"), [("linux-6.1", 1, -errno.EACCES), ("linux-6.12", 1, 1)])
def test_a_large_folio_is_shared_as_its_first_page_is(kernel: str, first: int, other: int) -> None:
    backend = machine(kernel=kernel)
    backing = process(backend, SimRegion(START, huge(16, 16)))
    backing.node[8:], backing.sharers[8:] = ABSENT, 0
    backing.sharers[7] = 2
    assert move(backend, (7, 1)) == (0, [other])
    assert move(backend, (0, 1)) == (0, [first])


def test_readers_take_a_huge_page_in_several_mappings_for_small_ones() -> None:
    backend = machine()
    backing = huge(2 * HUGE_PAGES)
    parts = [(0, 100), (100, HUGE_PAGES)]
    regions = [SimRegion(START + f * PAGE, backing, permissions="rw-p", first=f, length=n) for f, n in parts]
    process(backend, *regions, SimRegion(START + 612 * PAGE, backing, first=612))
    everything = [(START, START + 2 * HUGE_PAGES * PAGE)]
    runs = PageRuns.concatenate(backend.page_runs(PID, everything))
    assert set(runs.page_size.tolist()) == {PAGE}
    assert int(runs.count.sum()) == 2 * HUGE_PAGES == backend.machine.processes[PID].resident_pages
    backend.machine.end(PID)
    assert {node.free_pages for node in backend.machine.nodes.values()} == {1 << 18}
