"""Estimates against the truth: within their error in 95 of 100 random placements, from a bounded number of probes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import PAGE, Flag
from numamig.backends.simulator.process import Caller
from numamig.errors import RefusedError, TargetGone
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Region, RegionKind
from numamig.observe.pagemap import lay_out, read_page_map
from numamig.observe.placement import Placement, movable
from numamig.observe.probes import NOT_THERE, Space, probe, spread
from numamig.observe.sampling import estimate_process, estimate_regions, half_width, sample_page_map
from tests.machines import PID, START, add_process, machine

NODES = (0, 1, 2)
PAGES = 1 << 18


class Counting:
    """A backend that counts what it is asked."""

    def __init__(self, backend: SimulatorBackend) -> None:
        self._backend = backend
        self.asked = self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def move_pages(self, pid: int, addresses: Any, nodes: Any, flags: int = 2) -> Any:
        self.asked += len(addresses)
        return self._backend.move_pages(pid, addresses, nodes, flags)

    def page_runs(self, pid: int, ranges: Any) -> Any:
        self.looks += 1
        return self._backend.page_runs(pid, ranges)


def shares_at_random(random: np.random.Generator, pages: int) -> NDArray[np.uint8]:
    return random.choice([0, 1, 2, 255], pages, p=random.dirichlet([0.5] * 4)).astype(np.uint8)


def stretches(random: np.random.Generator, pages: int) -> NDArray[np.uint8]:
    out = np.empty(pages, np.uint8)
    at = 0
    while at < pages:
        until = at + int(random.integers(1, pages // 8))
        out[at:until] = random.choice([0, 1, 2, 255])
        at = until
    return out


def interleaved(random: np.random.Generator, pages: int) -> NDArray[np.uint8]:
    return np.resize(np.arange(int(random.integers(1, 4)), dtype=np.uint8), pages)


def sparse(random: np.random.Generator, pages: int) -> NDArray[np.uint8]:
    """One dense part, and stray pages elsewhere."""
    out = np.full(pages, 255, np.uint8)
    dense = pages // 100
    at = int(random.integers(0, pages - dense))
    out[at : at + dense] = random.choice([0, 1], dense, p=[0.7, 0.3])
    out[random.integers(0, pages, int(random.integers(1, pages // 1000)))] = 2
    return out


@pytest.mark.parametrize("layout", [shares_at_random, stretches, interleaved, sparse])
def test_the_truth_lies_within_the_stated_error(layout: Any) -> None:
    random = np.random.default_rng(5)
    of_process, of_regions, of_buckets = [], [], []
    for seed in range(40):
        backend = machine(*(1 << 22,) * 3)
        layouts = [layout(random, PAGES), layout(random, PAGES // 4), shares_at_random(random, 3000)]
        add_process(backend, *layouts)
        regions, every = backend.regions(PID), np.concatenate(layouts)

        whole = estimate_process(backend, backend.process(PID), regions, PAGE, seed=seed)
        assert whole.estimated
        of_process += within(whole.bytes_by_node, whole.error, every)
        for placement, pages in zip(estimate_regions(backend, PID, regions, PAGE, seed=seed), layouts, strict=True):
            of_regions += within(placement.bytes_by_node, placement.error, pages)

        grid = lay_out(regions, PAGES // 64 * PAGE)
        sampled = sample_page_map(backend, PID, grid, regions, NODES, PAGE, seed=seed)
        counted = read_page_map(backend, PID, grid, NODES, PAGE)
        space = Space.of(movable(regions), PAGE)
        held = space.below(grid.start + np.uint64(grid.bucket_bytes)) - space.below(grid.start)
        off = np.abs(sampled.counts - counted.counts) / np.maximum(held, 1)[:, None]
        assert sampled.error is not None
        # What is shown are whole pages.
        of_buckets += (off <= sampled.error[:, None] + 0.5 / np.maximum(held, 1)[:, None]).ravel().tolist()
    for found in (of_process, of_regions, of_buckets):
        assert np.mean(found) >= 0.95


def within(bytes_by_node: dict[int, int], error: float, pages: NDArray[np.uint8]) -> list[bool]:
    total, seen = int((pages != 255).sum()), sum(bytes_by_node.values())
    if not total:
        return []
    return [abs(bytes_by_node.get(n, 0) / max(1, seen) - int((pages == n).sum()) / total) <= error for n in NODES]


def test_no_more_work_than_probes_whatever_the_size() -> None:
    asked = []
    for pages in (1 << 16, 1 << 20):
        backend = Counting(machine(*(1 << 22,) * 3))
        add_process(backend._backend, np.zeros(pages, np.uint8))
        regions = backend.regions(PID)
        estimate_process(backend, backend.process(PID), regions, PAGE)  # type: ignore[arg-type]
        grid = lay_out(regions, PAGES // 64 * PAGE)
        sample_page_map(backend, PID, grid, regions, NODES, PAGE, most=2000)  # type: ignore[arg-type]
        estimate_regions(backend, PID, regions, PAGE)  # type: ignore[arg-type]
        assert backend.looks == 0
        asked.append(backend.asked)
    assert max(asked) <= 20_000


def test_the_same_seed_tells_the_same() -> None:
    backend = machine()
    add_process(backend, shares_at_random(np.random.default_rng(1), 50_000))
    regions = backend.regions(PID)
    grid = lay_out(regions, 1000 * PAGE)
    once, again, other = (
        sample_page_map(backend, PID, grid, regions, NODES, PAGE, seed=seed).counts for seed in (1, 1, 2)
    )
    assert np.array_equal(once, again) and not np.array_equal(once, other)


def test_zero_pages_are_never_counted() -> None:
    backend = machine()
    zeros = dict.fromkeys(range(0, 4096, 2), Flag.ZERO)
    add_process(backend, [1] * 4096, flags=zeros)
    regions = backend.regions(PID)
    counts = sample_page_map(backend, PID, lay_out(regions, 4096 * PAGE), regions, NODES, PAGE, probes=4096).counts
    assert counts[:, :3].sum(axis=0).tolist() == [0, 2048, 0]
    whole = estimate_process(backend, backend.process(PID), regions, PAGE)
    assert set(whole.bytes_by_node) == {1}


def test_where_there_are_as_many_probes_as_pages_it_is_counted() -> None:
    backend = machine()
    add_process(backend, [0] * 40 + [1] * 9 + [255] * 3, [2] * 100_000)
    regions = backend.regions(PID)
    beyond = Region(0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000, RegionKind.SPECIAL, "--xp", "[vsyscall]")
    small, large, special = estimate_regions(backend, PID, [*regions, beyond], PAGE)
    assert special == Placement({})
    assert (small.bytes_by_node, small.estimated, small.error) == ({0: 40 * PAGE, 1: 9 * PAGE}, False, 0.0)
    assert large.estimated and 0 < large.error < 0.05
    seen = sample_page_map(backend, PID, lay_out(regions, 64 * PAGE), regions, NODES, PAGE)
    assert seen.counts[0].tolist() == [40, 9, 0, 0]
    assert seen.error is not None and seen.error[0] == 0.0


def test_what_was_not_read_is_told_from_what_is_empty() -> None:
    backend = machine()
    add_process(backend, [255] * 64_000)
    regions = backend.regions(PID)
    grid = lay_out(regions, 1000 * PAGE)
    seen = sample_page_map(backend, PID, grid, regions, NODES, PAGE, most=160)
    assert seen.read is not None and seen.read.tolist() == [True] * 20 + [False] * (len(grid) - 20)
    assert not seen.counts.any()
    assert seen.error is not None and (seen.error[~seen.read] == 1.0).all()


def test_alike_probes_make_a_pure_bucket() -> None:
    (error,) = half_width(np.array([1.0]), np.array([64.0]))
    assert 0.05 < error < 0.07
    assert half_width(np.array([0.0, 0.3]), np.zeros(2)).tolist() == [1.0, 1.0]


def test_resident_size_leaves_out_hugetlb_pages() -> None:
    """Two thirds of this process' memory are hugetlb pages on node 2; VmRSS knows only of the third on node 0."""
    backend = machine(*(1 << 20,) * 3)
    add_process(backend, [0] * 60_000, [2] * 120_000)
    process = replace(backend.process(PID), resident_bytes=60_000 * PAGE)
    plain, large = backend.regions(PID)
    regions = [plain, Region(large.start, large.end, RegionKind.HUGETLB, "rw-p", page_size=2 << 20)]
    found = estimate_process(backend, process, regions, PAGE)
    assert found.bytes_by_node[0] == 60_000 * PAGE
    assert abs(found.bytes_by_node[2] / found.total_bytes - 2 / 3) <= found.error < 0.05


def test_pages_marked_by_balancing_are_found_by_a_page_reader() -> None:
    """linux-6.1 does not see them: half of the pages would be missing, and only those of one node."""
    backend = machine(kernel="linux-6.1")
    add_process(backend, [0, 1] * 50_000, flags=dict.fromkeys(range(1, 100_000, 2), Flag.HINTED))
    found = estimate_process(backend, backend.process(PID), backend.regions(PID), PAGE)
    known = {node: held for node, held in found.bytes_by_node.items() if node != UNKNOWN_NODE}
    assert abs(known[1] / found.total_bytes - 0.5) <= found.error


def test_errors_are_those_of_the_seam() -> None:
    backend = machine(caller=Caller(user="nobody", sys_ptrace=False))
    add_process(backend, [0] * 10, user="somebody")
    address = np.array([START], np.uint64)
    with pytest.raises(RefusedError):
        probe(backend, PID, address)
    with pytest.raises(TargetGone):
        probe(backend, 99, address)
    assert len(probe(backend, 99, np.empty(0, np.uint64))) == 0


def test_a_space_numbers_pages_without_gaps() -> None:
    space = Space.of([(0x1000, 0x3000), (0x8000, 0x9000)], PAGE)
    assert space.pages == 3
    assert space.address(np.arange(3)).tolist() == [0x1000, 0x2000, 0x8000]
    edges = np.array([0, 0x1000, 0x2000, 0x5000, 0x8000, 0x9000, 0xF000], np.uint64)
    assert space.below(edges).tolist() == [0, 0, 1, 2, 2, 3, 3]
    empty = Space.of([], PAGE)
    assert (empty.pages, empty.below(edges[:2]).tolist()) == (0, [0, 0])


def test_probes_fall_into_equal_parts() -> None:
    where, stratum = spread(np.array([0, 100]), np.array([100, 3]), np.array([10, 3]), np.random.default_rng(0))
    assert stratum.tolist() == [0] * 10 + [1] * 3
    assert (where[:10] // 10).tolist() == list(range(10))
    assert where[10:].tolist() == [100, 101, 102]


def test_unmapped_addresses_are_not_there() -> None:
    backend = machine()
    add_process(backend, [0, 255])
    addresses = START + np.arange(3, dtype=np.uint64) * np.uint64(PAGE)
    assert probe(backend, PID, addresses).tolist() == [0, NOT_THERE, NOT_THERE]
