"""Runs of pages against the single pages that they stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from numamig.model.pages import PageRuns, clip_ranges

PAGE, HUGE = 4096, 2 << 20


def build(sizes: list[tuple[int, int, int]]) -> tuple[PageRuns, list[tuple[int, int, int]]]:
    """From (pages of gap before, huge or not, node): runs, and each folio as (address, size, node)."""
    folios: list[tuple[int, int, int]] = []
    address = 0
    for gap, huge, node in sizes:
        size = HUGE if huge else PAGE
        address = -(-(address + gap * PAGE) // size) * size
        folios.append((address, size, node))
        address += size
    columns = list(zip(*folios, strict=True)) or [(), (), ()]
    runs = PageRuns.of_folios(
        np.array(columns[0], np.uint64), np.array(columns[1], np.int64), np.array(columns[2], np.int16)
    )
    return runs, folios


layouts = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 700]), st.booleans(), st.sampled_from([0, 0, 0, 1, -1])), max_size=30
)


@given(layouts)
def test_folios_are_what_runs_were_made_of(sizes: list[tuple[int, int, int]]) -> None:
    runs, folios = build(sizes)
    assert list(zip(*(column.tolist() for column in runs.folios()), strict=True)) == folios
    assert sum(runs.bytes_by_node().values()) == sum(size for _, size, _ in folios)
    assert len(PageRuns.concatenate([runs, PageRuns.empty()])) == len(runs)


@given(layouts, st.integers(0, 6000), st.integers(0, 6000))
def test_between_keeps_the_folios_that_begin_there(sizes: list[tuple[int, int, int]], one: int, other: int) -> None:
    runs, folios = build(sizes)
    start, end = sorted((one * PAGE, other * PAGE))
    kept = runs.between(start, end)
    expected = [folio for folio in folios if start <= folio[0] < end]
    assert list(zip(*(column.tolist() for column in kept.folios()), strict=True)) == expected
    assert list(zip(*(column.tolist() for column in runs.folios()), strict=True)) == folios


def test_ranges_are_clipped() -> None:
    assert clip_ranges([(0, 10), (20, 30), (40, 50)], 5, 45) == [(5, 10), (20, 30), (40, 45)]
    assert clip_ranges([(0, 10)], 10) == []
