"""From pagemap entries to nodes, on machines and page maps that the test makes up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux.frame_reader import FrameReader, PageFlags
from numamig.backends.linux.frames import UNCLEAR, FrameTable, ZoneSpan, build_table
from numamig.backends.linux.keys import ABSENT, HUGE, KeyRuns
from numamig.backends.linux.looks import Chunk
from numamig.backends.linux.ownpages import ZeroFrames
from numamig.backends.linux.pagereaders import Entries, Scratch
from numamig.model.pages import UNKNOWN_NODE

PAGE, HUGE_PAGE = 4096, 2 << 20
BLOCK = 128 << 20
FRAMES = BLOCK // PAGE
PRIVATE = 1 << 63 | 1 << 56
SHARED = 1 << 63 | 1 << 61
ZERO = 1 << 63
SWAPPED = 1 << 62
ZERO_FRAME, HUGE_ZERO_FRAME = 77, 1024
START = 0x7F0000000000

TABLE = build_table(
    {0: 0, 1: 0, 2: 1, 3: UNCLEAR, 4: 2},
    BLOCK,
    (ZoneSpan(1, 3 * FRAMES, 3 * FRAMES + 100), ZoneSpan(2, 3 * FRAMES + 50, 4 * FRAMES)),
    PAGE,
)
COMPOUND_HEAD, COMPOUND_TAIL, THP, ZERO_PAGE = 1 << 15, 1 << 16, 1 << 22, 1 << 24


class Flags(PageFlags):
    """A /proc/kpageflags of which only some frames are written."""

    def __init__(self, flags: dict[int, int]) -> None:
        self.flags = flags

    @property
    def readable(self) -> bool:
        return True

    def of(self, frames: Any) -> Any:
        return np.array([self.flags.get(frame, 0) for frame in frames.tolist()], np.int64)


def keys(
    entries: list[int], flags: dict[int, int] | None = None, *, table: FrameTable = TABLE, answer: int = 9
) -> list[int]:
    """Keys of these entries, one page after the other; move_pages answers ``answer``."""

    def ask(pid: int, addresses: Any) -> MovePagesReturn:
        return MovePagesReturn(0, 0, np.full(len(addresses), answer, np.int32))

    zero = ZeroFrames(((ZERO_FRAME, 1), (HUGE_ZERO_FRAME, 512)))
    reader = FrameReader(table, zero, Flags(flags or {}), ask, HUGE_PAGE)
    chunk = Chunk(PAGE, [(START, START + len(entries) * PAGE)], [])
    array = np.array(entries, np.uint64)
    pagemap: Any = SimpleNamespace(pid=1, scans=False)
    found = reader.keys(pagemap, chunk, Entries.of(array), Scratch())
    every = np.full(chunk.slots, found if isinstance(found, int) else -99, np.int16)
    if isinstance(found, KeyRuns):
        found.write_to(every)
    elif not isinstance(found, int):
        every[:] = found
    return every.tolist()


def test_frames_of_several_nodes() -> None:
    assert keys([PRIVATE | 5, PRIVATE | 2 * FRAMES, SHARED | 4 * FRAMES, PRIVATE | FRAMES]) == [0, 1, 2, 0]


def test_frames_of_one_node() -> None:
    assert keys([PRIVATE | 2 * FRAMES, PRIVATE | 3 * FRAMES - 1]) == [1, 1]
    assert keys([PRIVATE | 5, PRIVATE | 2 * FRAMES - 1]) == [0, 0]
    # The least and the greatest are on one node, another is between them.
    between = build_table({0: 0, 1: 3, 2: 0}, BLOCK, (), PAGE)
    assert keys([PRIVATE | 5, PRIVATE | FRAMES, PRIVATE | 2 * FRAMES], table=between) == [0, 3, 0]


def test_what_is_not_present() -> None:
    assert keys([0, SWAPPED | 5, PRIVATE | 5, 1 << 55]) == [ABSENT, ABSENT, 0, ABSENT]


def test_zero_pages_among_their_neighbours() -> None:
    zeros = [ZERO | ZERO_FRAME, ZERO | HUGE_ZERO_FRAME, ZERO | HUGE_ZERO_FRAME + 511]
    assert keys(zeros) == [ABSENT] * 3
    beside = [ZERO_FRAME - 1, ZERO_FRAME + 1, HUGE_ZERO_FRAME - 1, HUGE_ZERO_FRAME + 512]
    assert keys(zeros + [SHARED | frame for frame in beside]) == [ABSENT] * 3 + [0] * 4


def test_unclear_blocks_are_told_by_zones_and_then_by_asking() -> None:
    block = 3 * FRAMES
    entries = [PRIVATE | block, PRIVATE | block + 50, PRIVATE | block + 99, PRIVATE | block + 100]
    assert keys(entries) == [1, 9, 9, 2]
    assert keys([*entries, PRIVATE | 5]) == [1, 9, 9, 2, 0]


def test_frames_of_no_known_memory_are_asked_for() -> None:
    far = 1 << 40
    assert keys([PRIVATE | far]) == [9]
    assert keys([PRIVATE | far], answer=-2) == [UNKNOWN_NODE]
    assert keys([ZERO | far], answer=-14) == [ABSENT]


HEAD = 2 * FRAMES + 512


def stretch(first: int, count: int = 512) -> list[int]:
    return [PRIVATE | first + n for n in range(count)]


def test_a_huge_page() -> None:
    flags = {HEAD + 256: COMPOUND_TAIL | THP}
    assert keys(stretch(HEAD), flags) == [1 + HUGE] * 512
    assert keys(stretch(3000) + stretch(HEAD), flags) == [0] * 512 + [1 + HUGE] * 512


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {HEAD + 256: COMPOUND_HEAD | THP},  # a smaller folio starts in the middle
        {HEAD + 256: COMPOUND_TAIL},  # in one piece, but no page that migrates as one
    ],
)
def test_neighbours_that_are_no_huge_page(flags: dict[int, int]) -> None:
    assert keys(stretch(HEAD), flags) == [1] * 512


def test_only_whole_aligned_stretches_can_be_huge_pages() -> None:
    flags = {HEAD + 256: COMPOUND_TAIL | THP, HEAD + 256 + 1: COMPOUND_TAIL | THP}
    assert keys(stretch(HEAD + 1), flags) == [1] * 512
    assert keys([*stretch(HEAD, 511), PRIVATE | 5], flags) == [1] * 511 + [0]
    swapped = stretch(HEAD)
    swapped[100] = PRIVATE | 2 * FRAMES + 9  # written after a fork, say
    assert keys(swapped, flags) == [1] * 512
    swapped[100] = 0
    assert keys(swapped, flags) == [1] * 100 + [ABSENT] + [1] * 411


def test_a_huge_zero_page_that_could_not_be_learned() -> None:
    entries = [ZERO | HEAD + n for n in range(512)]
    assert keys(entries, {HEAD + 256: COMPOUND_TAIL | THP | ZERO_PAGE}) == [ABSENT] * 512


def test_page_flags_that_cannot_be_read(tmp_path: Path) -> None:
    flags = PageFlags(tmp_path)
    assert not flags.readable
    assert flags.of(np.array([1, 2], np.uint64)).tolist() == [0, 0]


def test_the_one_node_of_a_stretch_of_frames() -> None:
    table = build_table({0: 0, 1: 0, 2: 1, 4: 1}, BLOCK, (), PAGE)
    assert table.node_of_all(0, 2 * FRAMES - 1) == 0
    assert table.node_of_all(FRAMES, 2 * FRAMES) == UNCLEAR
    assert table.node_of_all(2 * FRAMES, 3 * FRAMES - 1) == 1
    assert table.node_of_all(2 * FRAMES, 4 * FRAMES) == UNCLEAR  # a hole between
    assert table.node_of_all(4 * FRAMES, 5 * FRAMES - 1) == 1
    assert table.node_of_all(4 * FRAMES, 5 * FRAMES) == UNCLEAR  # beyond the last
    assert table.node_of_all(7 * FRAMES, 9 * FRAMES) == UNCLEAR
