"""Buckets of the page map, counted against single pages."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from numamig.backends.simulator.memory import HUGE_PAGES, PAGE
from numamig.observe.pagemap import lay_out, read_page_map
from numamig.observe.placement import placement_of_process, placement_of_regions
from tests.machines import PID, START, add_process, machine


def test_a_bucket_counts_its_pages_by_node() -> None:
    backend = machine()
    add_process(backend, [0] * 10 + [1] * 6 + [255] * 16, [2] * 20)
    grid = lay_out(backend.regions(PID), 8 * PAGE)
    seen = read_page_map(backend, PID, grid, (0, 1, 2), PAGE)
    assert seen.counts.tolist() == [
        [8, 0, 0, 0],
        [2, 6, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 8, 0],
        [0, 0, 8, 0],
        [0, 0, 4, 0],
    ]
    assert grid.region.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert grid.start[0] == START


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=400), st.integers(0, 8))
def test_no_page_is_lost_at_any_zoom(nodes: list[int], zoom: int) -> None:
    backend = machine()
    add_process(backend, nodes, nodes[::-1])
    seen = read_page_map(backend, PID, lay_out(backend.regions(PID), PAGE << zoom), (0, 1, 2), PAGE)
    assert seen.counts.sum(axis=0).tolist() == [2 * nodes.count(n) for n in (0, 1, 2)] + [0]


def test_buckets_within_a_huge_page_share_it_out() -> None:
    backend = machine()
    add_process(backend, [1] * HUGE_PAGES, huge=True)
    seen = read_page_map(backend, PID, lay_out(backend.regions(PID), 64 * PAGE), (0, 1), PAGE)
    assert seen.counts.tolist() == [[0, 64, 0]] * 8
    assert seen.huge.tolist() == [64] * 8


def test_small_processes_are_counted_and_large_ones_estimated_with_their_error() -> None:
    backend = machine(1 << 20, 1 << 20, 1 << 20)
    add_process(backend, [0] * 300 + [1] * 100)
    counted = placement_of_process(backend, backend.process(PID), PAGE)
    assert (counted.bytes_by_node, counted.estimated, counted.error) == ({0: 300 * PAGE, 1: 100 * PAGE}, False, 0.0)
    assert counted.remote_bytes([1]) == 300 * PAGE
    assert counted.remote_bytes([]) is None

    shares = np.random.default_rng(3).choice([0, 1, 2], 400_000, p=[0.6, 0.3, 0.1])
    add_process(backend, shares, pid=5)
    estimated = placement_of_process(backend, backend.process(5), PAGE)
    assert estimated.estimated
    for node, share in ((0, 0.6), (1, 0.3), (2, 0.1)):
        assert abs(estimated.bytes_by_node[node] / estimated.total_bytes - share) <= estimated.error


def test_regions_are_counted_one_by_one() -> None:
    backend = machine()
    add_process(backend, [0] * 5, [1] * 7, [255] * 3)
    found = placement_of_regions(backend, PID, backend.regions(PID))
    assert [placement.bytes_by_node for placement in found] == [{0: 5 * PAGE}, {1: 7 * PAGE}, {}]
