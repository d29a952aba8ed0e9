"""Which node a page frame belongs to, from memory blocks and zones that the test wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.frames import UNCLEAR, ZoneSpan, build_table, parse_zone_spans, read_frame_table
from tests.unit.linux.trees import PAGE, ids_with_a_hole, write

ZONEINFO = """\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 980
  pages free     3840
        spanned  4095
        present  3998
  start_pfn:           1
Node 0, zone   Normal
  pages free     330952
        spanned  61440
  start_pfn:           4096
Node 1, zone   Normal
  pages free     330952
        spanned  65536
  start_pfn:           65536
Node 1, zone  Movable
  pages free     0
        spanned  0
"""


def test_zone_spans() -> None:
    assert parse_zone_spans(ZONEINFO) == (
        ZoneSpan(0, 1, 4096),
        ZoneSpan(0, 4096, 65536),
        ZoneSpan(1, 65536, 131072),
    )


BLOCK = 128 << 20
FRAMES = BLOCK // PAGE


def nodes_of(table: object, *frames: int) -> list[int]:
    return table.nodes_of(np.array(frames, np.uint64)).tolist()  # type: ignore[attr-defined, no-any-return]


def test_frames_by_block() -> None:
    table = build_table({0: 0, 1: 0, 2: 1, 5: 3}, BLOCK, (), PAGE)
    assert nodes_of(table, 0, 2 * FRAMES - 1, 2 * FRAMES, 5 * FRAMES + 7) == [0, 0, 1, 3]
    # In a hole between blocks, beyond the last one, and as far as a frame number can be.
    assert nodes_of(table, 3 * FRAMES, 6 * FRAMES, (1 << 55) - 1) == [UNCLEAR] * 3


def test_a_block_of_two_nodes_is_told_by_zones() -> None:
    spans = (ZoneSpan(0, 0, FRAMES + 100), ZoneSpan(1, FRAMES + 100, 3 * FRAMES))
    table = build_table({0: 0, 1: UNCLEAR, 2: 1}, BLOCK, spans, PAGE)
    edge = [FRAMES + 99, FRAMES + 100]
    assert nodes_of(table, *edge) == [UNCLEAR, UNCLEAR]
    assert table.nodes_by_zone(np.array(edge, np.uint64)).tolist() == [0, 1]


def test_zones_that_overlap_tell_nothing() -> None:
    spans = (ZoneSpan(0, 0, 1000), ZoneSpan(1, 500, 2000), ZoneSpan(0, 900, 950))
    table = build_table({}, 0, spans, PAGE)
    frames = np.array([499, 500, 920, 999, 1000, 2000], np.uint64)
    assert table.nodes_by_zone(frames).tolist() == [0, UNCLEAR, UNCLEAR, UNCLEAR, 1, UNCLEAR]


def test_without_memory_blocks_zones_fill_the_table() -> None:
    spans = (ZoneSpan(0, 1, 2 * FRAMES), ZoneSpan(1, 2 * FRAMES, 4 * FRAMES + 1))
    table = build_table({}, 0, spans, PAGE)
    assert nodes_of(table, 5, 2 * FRAMES, 4 * FRAMES) == [0, 1, 1]


def test_frames_of_a_machine(tmp_path: Path) -> None:
    sys_root, proc_root = ids_with_a_hole(tmp_path)
    write(sys_root / "devices/system/memory/block_size_bytes", "8000000")
    for node, blocks in {0: (0, 1, 4), 8: (2, 3, 4)}.items():
        for block in blocks:
            (sys_root / f"devices/system/node/node{node}/memory{block}").mkdir()
    (sys_root / "devices/system/node/node0/memory_failure").mkdir()
    write(proc_root / "zoneinfo", "")
    table = read_frame_table(sys_root, proc_root, PAGE)
    assert nodes_of(table, 0, FRAMES, 2 * FRAMES, 3 * FRAMES, 4 * FRAMES) == [0, 0, 8, 8, UNCLEAR]


def test_frames_that_need_a_second_look() -> None:
    table = build_table({0: 0, 1: 1}, BLOCK, (), PAGE)
    marked = table.without(((7, 1),))
    assert nodes_of(marked, 8, FRAMES) == [UNCLEAR, 1]
    assert nodes_of(table, 8) == [0]


@pytest.mark.parametrize("text", ["", "nonsense", "Node 0, zone DMA\n"])
def test_zoneinfo_without_zones(text: str) -> None:
    assert parse_zone_spans(text) == ()
