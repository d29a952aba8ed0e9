"""Machines as /sys describes them, written by the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.frames import UNCLEAR, ZoneSpan, build_table, parse_zone_spans, read_frame_table
from numamig.backends.linux.sysfs import read_free_bytes, read_topology

GIB = 1 << 30
PAGE = 4096


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def write_machine(
    root: Path, nodes: dict[int, tuple[str, int, str]], *, tiers: dict[int, str] | None = None
) -> tuple[Path, Path]:
    """A /sys and a /proc: node → (cpulist, GiB of memory, row of distances); tier → its nodes."""
    sys_root, proc_root = root / "sys", root / "proc"
    folder = sys_root / "devices/system/node"
    write(folder / "online", ",".join(map(str, nodes)))
    write(folder / "has_memory", ",".join(str(node) for node, (_, gib, _) in nodes.items() if gib))
    for node, (cpus, gib, row) in nodes.items():
        write(folder / f"node{node}/cpulist", cpus)
        write(folder / f"node{node}/distance", row)
        kib = gib << 20
        write(
            folder / f"node{node}/meminfo",
            f"Node {node} MemTotal:       {kib} kB\nNode {node} MemFree:        {kib // 4} kB",
        )
    for tier, listed in (tiers or {}).items():
        write(sys_root / f"devices/virtual/memory_tiering/memory_tier{tier}/nodelist", listed)
    proc_root.mkdir()
    return sys_root, proc_root


def test_one_node(tmp_path: Path) -> None:
    roots = write_machine(tmp_path, {0: ("0-3", 8, "10")})
    topology = read_topology(*roots, PAGE)
    assert topology.memory_nodes == (0,)
    assert topology.nodes[0].cpus == (0, 1, 2, 3)
    assert topology.nodes[0].total_bytes == 8 * GIB
    assert topology.nodes[0].free_bytes == 2 * GIB
    assert topology.nodes[0].tier is None
    assert topology.distances == {(0, 0): 10}
    assert (topology.page_size, topology.huge_page_size) == (PAGE, 2 << 20)


def test_eight_nodes_in_two_packages(tmp_path: Path) -> None:
    def row(node: int) -> str:
        return " ".join("10" if other == node else "12" if other // 4 == node // 4 else "32" for other in range(8))

    roots = write_machine(tmp_path, {n: (f"{n * 8}-{n * 8 + 7},{64 + n}", 64, row(n)) for n in range(8)})
    topology = read_topology(*roots, PAGE)
    assert topology.memory_nodes == tuple(range(8))
    assert [topology.distances[0, n] for n in range(8)] == [10, 12, 12, 12, 32, 32, 32, 32]
    assert [node.id for node in topology.nodes if 66 in node.cpus] == [2]


def test_memory_without_cpus_behind_asymmetric_distances(tmp_path: Path) -> None:
    machine = {0: ("0-1", 16, "10 50"), 1: ("", 4, "255 10")}
    roots = write_machine(tmp_path, machine, tiers={4: "0", 22: "1"})
    topology = read_topology(*roots, PAGE)
    assert topology.distances == {(0, 0): 10, (0, 1): 50, (1, 0): 255, (1, 1): 10}
    assert topology.nodes[1].cpus == ()
    assert topology.nodes[1].has_memory
    assert [node.tier for node in topology.nodes] == [4, 22]


def test_ids_with_a_hole(tmp_path: Path) -> None:
    topology = read_topology(*write_machine(tmp_path, {0: ("0", 1, "10 40"), 8: ("1", 1, "40 10")}), PAGE)
    assert topology.memory_nodes == (0, 8)
    assert topology.distances[0, 8] == 40
    assert topology.node(8) is topology.nodes[1]


def test_cpus_without_memory(tmp_path: Path) -> None:
    roots = write_machine(tmp_path, {0: ("0", 1, "10 20"), 1: ("1", 0, "20 10")})
    topology = read_topology(*roots, PAGE)
    assert topology.memory_nodes == (0,)
    assert [node.id for node in topology.nodes if 1 in node.cpus] == [1]


def test_huge_page_size_is_read(tmp_path: Path) -> None:
    sys_root, proc_root = write_machine(tmp_path, {0: ("0", 1, "10")})
    write(sys_root / "kernel/mm/transparent_hugepage/hpage_pmd_size", str(512 << 20))
    assert read_topology(sys_root, proc_root, 65536).huge_page_size == 512 << 20


def test_a_kernel_without_numa_is_one_node(tmp_path: Path) -> None:
    sys_root, proc_root = tmp_path / "sys", tmp_path / "proc"
    write(sys_root / "devices/system/cpu/online", "0-1")
    write(proc_root / "meminfo", "MemTotal:        2097152 kB\nMemFree:         1048576 kB\nHugepagesize: 2048 kB")
    topology = read_topology(sys_root, proc_root, PAGE)
    assert [(node.id, node.cpus, node.total_bytes) for node in topology.nodes] == [(0, (0, 1), 2 * GIB)]
    assert topology.distances == {(0, 0): 10}
    assert read_free_bytes(sys_root, proc_root) == {0: GIB}


def test_free_bytes_by_node(tmp_path: Path) -> None:
    roots = write_machine(tmp_path, {0: ("0", 4, "10 20"), 3: ("1", 8, "20 10")})
    assert read_free_bytes(*roots) == {0: GIB, 3: 2 * GIB}


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
    sys_root, proc_root = write_machine(tmp_path, {0: ("0", 1, "10 40"), 8: ("1", 1, "40 10")})
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
