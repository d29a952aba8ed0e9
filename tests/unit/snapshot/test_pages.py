"""A process' pages taken down as a reader shows them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numamig.backends.simulator.memory import ABSENT, Flag
from numamig.backends.simulator.process import SimRegion
from numamig.backends.snapshot.pages import PageTaker
from numamig.model.pages import PageRuns
from numamig.model.process import Region, RegionKind

PAGE, HUGE, GIB, TIB = 4096, 2 << 20, 1 << 30, 1 << 40
Row = tuple[int, int, int, int]
"""(address, bytes of a folio, folios, node)."""


def runs(*rows: Row) -> PageRuns:
    address, size, count, node = zip(*rows, strict=True)
    return PageRuns(
        np.array(address, np.uint64), np.array(size, np.int64), np.array(count, np.int64), np.array(node, np.int16)
    )


def anon(start: int, size: int, kind: RegionKind = RegionKind.ANON, page_size: int = PAGE) -> Region:
    return Region(start, start + size, kind, "rw-p", "", page_size)


def taken(regions: list[Region], *chunks: PageRuns) -> tuple[PageTaker, list[SimRegion]]:
    taker = PageTaker(regions, PAGE, HUGE, 0)
    for chunk in chunks:
        taker.add(chunk)
    return taker, taker.extents()


def present(extents: list[SimRegion]) -> dict[int, tuple[int, bool]]:
    """Address → node, and whether it is part of a large folio; within the extents."""
    found: dict[int, tuple[int, bool]] = {}
    for extent in extents:
        for nth in range(extent.pages):
            page = extent.first + nth
            if extent.backing.node[page] != ABSENT:
                large = bool(extent.backing.flags[page] & np.uint8(Flag.LARGE))
                found[extent.start + nth * PAGE] = (int(extent.backing.node[page]), large)
    return found


def test_memory_that_is_only_reserved_costs_nothing() -> None:
    start = 0x10000000000
    pages = [(start, PAGE, 3, 0), (start + 5 * TIB + PAGE, PAGE, 1, 1), (start + 16 * TIB - PAGE, PAGE, 1, 2)]
    _, extents = taken([anon(start, 16 * TIB)], runs(*pages))
    assert present(extents) == {
        start: (0, False),
        start + PAGE: (0, False),
        start + 2 * PAGE: (0, False),
        start + 5 * TIB + PAGE: (1, False),
        start + 16 * TIB - PAGE: (2, False),
    }
    assert sum(len(extent.backing.node) for extent in extents) <= 3 * 4096


def test_a_full_region_takes_a_byte_a_page_and_is_in_few_pieces() -> None:
    start = 0x7F0000000000 + 17 * PAGE
    _, extents = taken([anon(start, 3 * GIB)], runs((start, PAGE, 3 * GIB // PAGE, 1)))
    assert len(extents) == 4  # cut at multiples of a gigabyte
    assert sum(extent.pages for extent in extents) * PAGE == 3 * GIB
    assert all((extent.backing.node[extent.first :][: extent.pages] == 1).all() for extent in extents)
    assert {extent.backing.sharers.strides for extent in extents} == {(0,)}


def test_huge_pages_lie_on_multiples_of_their_size_wherever_their_region_begins() -> None:
    start = 0x7F0000000000 + 3 * PAGE
    region = anon(start, 4 * HUGE)
    chunk = runs((start, PAGE, 509, 0), (start + 509 * PAGE, HUGE, 2, 1), (start + 509 * PAGE + 2 * HUGE, PAGE, 5, 0))
    _, (extent,) = taken([region], chunk)
    assert (extent.start, extent.end) == (region.start, region.end)
    large = np.flatnonzero(extent.backing.flags & np.uint8(Flag.LARGE))
    assert (len(large), large[0] % 512, extent.backing.folio_pages) == (1024, 0, 512)
    assert (extent.backing.node[large] == 1).all()


def test_a_run_that_goes_on_into_the_next_region_is_parted() -> None:
    start = 0x7F0000000000
    first, second = anon(start, 5 * PAGE), anon(start + 5 * PAGE, 3 * PAGE, RegionKind.FILE)
    _, extents = taken([first, second], runs((start, PAGE, 8, 2)))
    assert [(e.start, e.end, e.kind) for e in extents] == [
        (first.start, first.end, RegionKind.ANON),
        (second.start, second.end, RegionKind.FILE),
    ]
    assert len(present(extents)) == 8


def test_what_was_mapped_since_the_regions_were_listed_is_left_out() -> None:
    start = 0x7F0000000000
    regions = [anon(start, 4 * PAGE), anon(start + 100 * PAGE, 4 * PAGE)]
    chunk = runs((start, PAGE, 4, 0), (start + 50 * PAGE, PAGE, 2, 0), (start + 100 * PAGE, PAGE, 4, 1))
    _, extents = taken(regions, chunk, runs((start + 200 * PAGE, PAGE, 1, 0)))
    assert sorted(present(extents)) == [start + n * PAGE for n in (0, 1, 2, 3, 100, 101, 102, 103)]


def test_hugetlb_pages_of_a_gigabyte() -> None:
    region = anon(0x40000000000, 2 * GIB, RegionKind.HUGETLB, GIB)
    taker, extents = taken([region], runs((region.start + GIB, GIB, 1, 1)))
    (extent,) = extents
    assert (extent.backing.folio_pages, taker.pages) == (GIB // PAGE, GIB // PAGE)
    assert (extent.start, extent.end) == (region.start + GIB, region.end)
    assert (extent.backing.flags & np.uint8(Flag.LARGE)).all()


def test_pages_whose_node_is_hidden_are_marked() -> None:
    start = 0x7F0000000000
    taker, (extent,) = taken([anon(start, 4 * PAGE)], runs((start, PAGE, 1, 1), (start + PAGE, PAGE, 2, -1)))
    assert (taker.pages, taker.hidden_pages) == (3, 2)
    here = slice(extent.first, extent.first + 4)
    assert (extent.backing.flags[here] & np.uint8(Flag.HINTED) != 0).tolist() == [False, True, True, False]
    assert extent.backing.node[here].tolist() == [1, 0, 0, ABSENT]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Region], list[list[Row]], dict[int, tuple[int, bool]]]:
    """Regions near the edge of a gigabyte, the chunks that a reader shows of them, and every page that is there."""
    at = 0x7F0000000000 - draw(st.integers(0, 5000)) * PAGE
    regions, rows, pages = [], [], {}
    for _ in range(draw(st.integers(1, 4))):
        at += draw(st.sampled_from([0, 1, 600])) * PAGE
        start = at
        for _ in range(draw(st.integers(1, 5))):
            if draw(st.booleans()):
                at += draw(st.integers(1, 9000)) * PAGE  # absent
            node = draw(st.integers(0, 2))
            if draw(st.booleans()):
                at += -at % HUGE
                count, size = draw(st.integers(1, 2)), HUGE
            else:
                count, size = draw(st.integers(1, 200)), PAGE
            rows.append((at, size, count, node))
            for _ in range(count * size // PAGE):
                pages[at] = (node, size == HUGE)
                at += PAGE
        at += draw(st.integers(0, 3)) * PAGE
        regions.append(anon(start, at - start))
    cuts = sorted(draw(st.sets(st.integers(1, len(rows)), max_size=3)))
    chunks = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True) if a < b]
    return regions, chunks, pages


@settings(max_examples=40)
@given(layouts())
def test_every_page_is_found_again(
    layout: tuple[list[Region], list[list[Row]], dict[int, tuple[int, bool]]],
) -> None:
    regions, chunks, pages = layout
    taker, extents = taken(regions, *(runs(*rows) for rows in chunks))
    assert present(extents) == pages
    assert taker.pages == len(pages) == sum(extent.backing.resident_pages for extent in extents)
    assert all(a.end <= b.start for a, b in pairwise(extents))


@pytest.mark.parametrize("huge", [0, HUGE])
def test_nothing_there_is_nothing(huge: int) -> None:
    taker = PageTaker([anon(0x7F0000000000, 5 * PAGE)], PAGE, huge, 0)
    taker.add(PageRuns.empty())
    assert taker.extents() == []
