"""Where to look: cutting ranges to mappings, widening them to huge pages, and cutting them into chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from numamig.backends.linux.keys import ABSENT, HUGE, KeyRuns, join_runs
from numamig.backends.linux.looks import Chunk, cut_into_blocks, cut_into_chunks, plan_looks
from numamig.model.pages import UNKNOWN_NODE, PageRuns

PAGE, HUGE_PAGE = 4096, 2 << 20
TIB = 1 << 40


def nothing_skipped(start: int, end: int) -> int:
    return start


def plan(
    spans: list[tuple[int, int, int]], ranges: list[tuple[int, int]]
) -> list[tuple[int, int, list[tuple[int, int]]]]:
    return [(look.start, look.end, look.wanted) for look in plan_looks(spans, ranges, PAGE, HUGE_PAGE)]


def test_ranges_are_cut_to_mappings() -> None:
    spans = [(0x1000, 0x3000, PAGE), (0x8000, 0x9000, PAGE)]
    assert plan(spans, [(0, TIB)]) == [(0x1000, 0x3000, [(0x1000, 0x3000)]), (0x8000, 0x9000, [(0x8000, 0x9000)])]
    assert plan(spans, [(0x3000, 0x8000), (0x9000, TIB)]) == []
    assert plan([], [(0, TIB)]) == []
    assert plan(spans, []) == []


def test_addresses_inside_of_pages_mean_those_pages() -> None:
    assert plan([(0x1000, 0x9000, PAGE)], [(0x2FFF, 0x3001)]) == [(0x1000, 0x9000, [(0x2000, 0x4000)])]


def test_ranges_are_widened_to_huge_pages_inside_the_mapping() -> None:
    span = (HUGE_PAGE - PAGE, 5 * HUGE_PAGE, PAGE)
    middle = 2 * HUGE_PAGE + PAGE
    assert plan([span], [(middle, middle + PAGE)]) == [(2 * HUGE_PAGE, 3 * HUGE_PAGE, [(middle, middle + PAGE)])]
    assert plan([span], [(0, HUGE_PAGE)]) == [(HUGE_PAGE - PAGE, HUGE_PAGE, [(HUGE_PAGE - PAGE, HUGE_PAGE)])]


def test_ranges_in_one_huge_page_are_one_look() -> None:
    span = (0, 4 * HUGE_PAGE, PAGE)
    ranges = [(0x1000, 0x2000), (0x2000, 0x3000), (0x5000, 0x6000), (3 * HUGE_PAGE, 3 * HUGE_PAGE + PAGE)]
    assert plan([span], ranges) == [
        (0, HUGE_PAGE, [(0x1000, 0x3000), (0x5000, 0x6000)]),
        (3 * HUGE_PAGE, 4 * HUGE_PAGE, [(3 * HUGE_PAGE, 3 * HUGE_PAGE + PAGE)]),
    ]


def test_hugetlb_ranges_are_widened_to_their_pages() -> None:
    gib = 1 << 30
    assert plan([(gib, 4 * gib, gib)], [(2 * gib + 5, 2 * gib + 6)]) == [(2 * gib, 3 * gib, [(2 * gib, 3 * gib)])]


def test_small_looks_share_a_chunk() -> None:
    looks = plan_looks([(n * 0x10000, n * 0x10000 + 0x2000, PAGE) for n in range(1, 6)], [(0, TIB)], PAGE, HUGE_PAGE)
    (chunk,) = cut_into_chunks(looks, HUGE_PAGE, nothing_skipped)
    assert (chunk.slots, len(chunk.pieces)) == (10, 5)
    assert chunk.addresses(np.arange(4)).tolist() == [0x10000, 0x11000, 0x20000, 0x21000]


def test_large_looks_are_cut_between_huge_pages() -> None:
    start, end = PAGE, 5 * HUGE_PAGE + PAGE
    looks = plan_looks([(start, end, PAGE)], [(0, TIB)], PAGE, HUGE_PAGE)
    chunks = list(cut_into_chunks(looks, HUGE_PAGE, nothing_skipped, most=1024))
    pieces = [piece for chunk in chunks for piece in chunk.pieces]
    assert all(chunk.slots <= 2 * 1024 for chunk in chunks)
    assert pieces[0][0] == start and pieces[-1][1] == end
    assert all(a[1] == b[0] and a[1] % HUGE_PAGE == 0 for a, b in pairwise(pieces))
    blocks = [b for chunk in chunks for b in cut_into_blocks(chunk, HUGE_PAGE, nothing_skipped, most=1024)]
    pieces = [piece for block in blocks for piece in block.pieces]
    assert all(block.slots <= 1024 for block in blocks)
    assert pieces[0][0] == start and pieces[-1][1] == end
    assert all(a[1] == b[0] and a[1] % HUGE_PAGE == 0 for a, b in pairwise(pieces))


def test_holes_are_skipped_without_being_cut_into_chunks() -> None:
    present = 15 * TIB + 77 * PAGE

    def skip(start: int, end: int) -> int:
        return max(start, present) if start <= present < end else end

    looks = plan_looks([(0, 20 * TIB, PAGE)], [(0, 20 * TIB)], PAGE, HUGE_PAGE)
    chunks = list(cut_into_chunks(looks, HUGE_PAGE, skip))
    assert len(chunks) == 1
    assert chunks[0].pieces[0][0] == 15 * TIB


def test_holes_within_a_chunk_are_skipped() -> None:
    """The first block is empty, and so is all but one page of the rest."""
    present = 3000 * PAGE
    chunk = Chunk(PAGE, [(0, 4096 * PAGE)], [(0, PAGE), (2600 * PAGE, 4096 * PAGE)])
    blocks = cut_into_blocks(chunk, HUGE_PAGE, lambda start, end: present if start <= present < end else end, most=1024)
    assert [(block.pieces, block.unwanted) for block in blocks] == [
        ([(0, 1024 * PAGE)], [(0, PAGE)]),
        ([(2560 * PAGE, 3584 * PAGE)], [(2600 * PAGE, 3584 * PAGE)]),
    ]


def test_page_sizes_do_not_share_a_chunk() -> None:
    spans = [(0, HUGE_PAGE, PAGE), (HUGE_PAGE, 3 * HUGE_PAGE, HUGE_PAGE), (3 * HUGE_PAGE, 4 * HUGE_PAGE, PAGE)]
    chunks = list(cut_into_chunks(plan_looks(spans, [(0, TIB)], PAGE, HUGE_PAGE), HUGE_PAGE, nothing_skipped))
    assert [(chunk.slot_bytes, chunk.slots) for chunk in chunks] == [(PAGE, 512), (HUGE_PAGE, 2), (PAGE, 512)]


def test_unwanted_parts_follow_their_pieces() -> None:
    spans = [(0, 0x4000, PAGE), (0x10000, 0x14000, PAGE)]
    looks = plan_looks(spans, [(0x1000, 0x2000), (0x12000, 0x14000)], PAGE, HUGE_PAGE)
    (chunk,) = cut_into_chunks(looks, HUGE_PAGE, nothing_skipped)
    assert chunk.unwanted_slots().tolist() == [True, False, True, True, True, True, False, False]


def keys(*stretches: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.full(count, key, np.int16) for key, count in stretches])


def as_tuples(runs: PageRuns) -> list[tuple[int, int, int, int]]:
    columns = (runs.address, runs.page_size, runs.count, runs.node)
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def test_runs_break_where_keys_or_addresses_do() -> None:
    chunk = Chunk(PAGE, [(0x10000, 0x14000), (0x20000, 0x22000)], [])
    runs = join_runs(chunk, keys((1, 2), (ABSENT, 1), (0, 2), (UNKNOWN_NODE, 1)), HUGE_PAGE)
    assert as_tuples(runs) == [
        (0x10000, PAGE, 2, 1),
        (0x13000, PAGE, 1, 0),
        (0x20000, PAGE, 1, 0),
        (0x21000, PAGE, 1, UNKNOWN_NODE),
    ]
    assert [column.dtype for column in (runs.address, runs.page_size, runs.count, runs.node)] == [
        np.uint64,
        np.int64,
        np.int64,
        np.int16,
    ]


def test_huge_pages_are_counted_whole_though_only_a_part_was_asked_for() -> None:
    chunk = Chunk(PAGE, [(0, 4 * HUGE_PAGE)], [(0, PAGE), (3 * HUGE_PAGE + PAGE, 4 * HUGE_PAGE)])
    runs = join_runs(chunk, keys((3 + HUGE, 1024), (UNKNOWN_NODE + HUGE, 512), (2, 512)), HUGE_PAGE)
    assert as_tuples(runs) == [
        (0, HUGE_PAGE, 2, 3),
        (2 * HUGE_PAGE, HUGE_PAGE, 1, UNKNOWN_NODE),
        (3 * HUGE_PAGE, PAGE, 1, 2),
    ]


def test_nothing_present_is_no_runs() -> None:
    assert len(join_runs(Chunk(PAGE, [(0, 0x2000)], []), keys((ABSENT, 2)), HUGE_PAGE)) == 0


def test_runs_equal_those_of_single_folios() -> None:
    random = np.random.default_rng(7)
    for _ in range(50):
        slots = int(random.integers(2, 40))
        cut = int(random.integers(1, slots))
        chunk = Chunk(PAGE, [(0x100000, 0x100000 + cut * PAGE), (0x900000, 0x900000 + (slots - cut) * PAGE)], [])
        key = random.integers(ABSENT, 3, slots).astype(np.int16)
        there = np.flatnonzero(key != ABSENT)
        expected = PageRuns.of_folios(chunk.addresses(there), np.full(len(there), PAGE), key[there])
        assert as_tuples(join_runs(chunk, key, HUGE_PAGE)) == as_tuples(expected)
        every = KeyRuns(np.arange(slots), key)
        assert as_tuples(join_runs(chunk, every, HUGE_PAGE)) == as_tuples(expected)


def test_runs_of_keys_are_joined_as_single_ones_are() -> None:
    chunk = Chunk(PAGE, [(0x10000, 0x1A000)], [])
    runs = KeyRuns(np.array([0, 2, 5, 6, 9]), np.array([1, 1, ABSENT, 2, 2], np.int16))
    assert as_tuples(join_runs(chunk, runs, HUGE_PAGE)) == [(0x10000, PAGE, 5, 1), (0x16000, PAGE, 4, 2)]
    every = np.empty(10, np.int16)
    runs.write_to(every)
    assert every.tolist() == [1] * 5 + [ABSENT] + [2] * 4
    assert as_tuples(join_runs(chunk, 3, HUGE_PAGE)) == [(0x10000, PAGE, 10, 3)]
