"""Counters of machines that the test wrote: free memory, watermarks, pools, numastat, switches; and kernels without."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.backends.linux.counters import (
    CounterReader,
    parse_counts,
    parse_watermarks,
    read_huge_pools,
    read_switches,
)
from numamig.clock import VirtualClock
from numamig.model.topology import HugePool, NodeCounters, Switches, Watermarks
from tests.unit.linux.trees import (
    GIB,
    PAGE,
    Roots,
    cxl_machine,
    eight_nodes,
    ids_with_a_hole,
    one_node,
    write,
    write_machine,
    write_pool,
    write_zoneinfo,
)

NODES = "devices/system/node"
NODE_VMSTAT = """\
nr_free_pages 1000
numa_hit 600
numa_miss 5
numa_foreign 7
numa_interleave 11
numa_local 590
numa_other 15
nr_inactive_anon 7
pgpromote_success 3
pgdemote_kswapd 4"""
NUMASTAT = {
    "numa_hit": 600,
    "numa_miss": 5,
    "numa_foreign": 7,
    "interleave_hit": 11,
    "local_node": 590,
    "other_node": 15,
}


def read(roots: Roots) -> NodeCounters:
    return CounterReader(*roots, PAGE, VirtualClock()).read()


@pytest.mark.parametrize(
    ("machine", "free"),
    [
        (one_node, {0: 2 * GIB}),
        (eight_nodes, dict.fromkeys(range(8), 16 * GIB)),
        (cxl_machine, {0: 4 * GIB, 1: GIB}),
        (ids_with_a_hole, {0: GIB // 4, 8: GIB // 4}),
    ],
)
def test_a_kernel_with_nothing_but_meminfo(tmp_path: Path, machine: object, free: dict[int, int]) -> None:
    counters = read(machine(tmp_path))  # type: ignore[operator]
    assert counters == NodeCounters(taken_ns=0, free_bytes=free, vmstat={})
    assert counters.switches == Switches(None, None, None)


def test_a_node_counts(tmp_path: Path) -> None:
    sys_root, proc_root = ids_with_a_hole(tmp_path)
    write(sys_root / NODES / "node8/vmstat", NODE_VMSTAT)
    write(proc_root / "vmstat", "pgmigrate_success 12\nnuma_pages_migrated 9")
    reader = CounterReader(sys_root, proc_root, PAGE, VirtualClock())
    counters = reader.read()
    assert counters.free_bytes == {0: GIB // 4, 8: 1000 * PAGE}
    assert (reader.free_bytes(0), reader.free_bytes(8), reader.free_bytes(3)) == (GIB // 4, 1000 * PAGE, 0)
    assert counters.numastat == {8: NUMASTAT}
    assert counters.node_vmstat[8]["pgpromote_success"] == 3
    assert counters.node_vmstat[8]["pgdemote_kswapd"] == 4
    assert counters.vmstat == {"pgmigrate_success": 12, "numa_pages_migrated": 9}


def test_numastat_has_a_file_of_its_own_too(tmp_path: Path) -> None:
    sys_root, proc_root = one_node(tmp_path)
    write(sys_root / NODES / "node0/numastat", "\n".join(f"{name} {count}" for name, count in NUMASTAT.items()))
    assert read((sys_root, proc_root)).numastat == {0: NUMASTAT}


@pytest.mark.parametrize("text", ["numa_hit 1\nnuma_miss 2\n", "numa_hit 1\nodd line here\nnuma_miss 2\nmore"])
def test_counts_are_lines_of_a_name_and_a_number(text: str) -> None:
    assert parse_counts(text) == {"numa_hit": 1, "numa_miss": 2}


ZONES = [
    (0, "DMA", (190, 237, 284), 3840),
    (0, "DMA32", (5647, 7058, 8469), 115_260),
    (0, "Normal", (0, 0, 0), 0),
    # An empty zone; the kernel gives it watermarks all the same.
    (0, "Movable", (32, 32, 32), 0),
    (8, "Normal", (6411, 8013, 9615), 128_915),
    (8, "Movable", (100, 200, 300), 4096),
]


def test_watermarks_are_sums_of_zones_with_pages(tmp_path: Path) -> None:
    sys_root, proc_root = ids_with_a_hole(tmp_path)
    write_zoneinfo(proc_root, ZONES)
    assert read((sys_root, proc_root)).watermarks == {
        0: Watermarks((190 + 5647) * PAGE, (237 + 7058) * PAGE, (284 + 8469) * PAGE),
        8: Watermarks((6411 + 100) * PAGE, (8013 + 200) * PAGE, (9615 + 300) * PAGE),
    }


@pytest.mark.parametrize("text", ["", "nonsense", "Node 0, zone DMA\n", "Node 0, zone      DMA\n  pages free     3840"])
def test_zoneinfo_without_watermarks(text: str) -> None:
    assert parse_watermarks(text, PAGE) == {}


def test_zoneinfo_is_read_every_five_seconds_at_most(tmp_path: Path) -> None:
    sys_root, proc_root = one_node(tmp_path)
    clock = VirtualClock()
    reader = CounterReader(sys_root, proc_root, PAGE, clock)
    write_zoneinfo(proc_root, [(0, "Normal", (1, 2, 3), 1000)])
    first = reader.read().watermarks
    write_zoneinfo(proc_root, [(0, "Normal", (10, 20, 30), 1000)])
    clock.sleep_ns(4_900_000_000)
    assert reader.read().watermarks == first
    clock.sleep_ns(100_000_000)
    assert reader.read().watermarks == {0: Watermarks(10 * PAGE, 20 * PAGE, 30 * PAGE)}


def test_which_watermark_is_crossed() -> None:
    marks = Watermarks(100, 200, 300)
    assert [marks.crossed(free) for free in (0, 99, 100, 199, 200, 1000)] == ["min", "min", "low", "low", "", ""]


def test_huge_pools_of_every_size(tmp_path: Path) -> None:
    roots = ids_with_a_hole(tmp_path)
    for kib, total, free, surplus in ((1048576, 0, 0, 0), (2048, 40, 12, 3)):
        write_pool(roots[0] / NODES / "node8", kib, total, free, surplus)
    (roots[0] / NODES / "node8/hugepages/odd").mkdir()
    assert read(roots).huge_pools == {8: (HugePool(2 << 20, 40, 12, 3), HugePool(1 << 30, 0, 0, 0))}


def test_a_pool_may_go_while_it_is_read(tmp_path: Path) -> None:
    write(tmp_path / "hugepages/hugepages-2048kB/free_hugepages", "1")
    assert read_huge_pools(tmp_path / "hugepages") == ()


def test_a_kernel_without_numa_has_counters_of_the_machine(tmp_path: Path) -> None:
    sys_root, proc_root = tmp_path / "sys", tmp_path / "proc"
    write(proc_root / "meminfo", "MemTotal:        2097152 kB\nMemFree:         1048576 kB")
    write(proc_root / "vmstat", "pgfault 1")
    write_zoneinfo(proc_root, [(0, "Normal", (1, 2, 3), 1000)])
    write_pool(sys_root / "kernel/mm", 2048, 4, 4)
    counters = read((sys_root, proc_root))
    assert counters.free_bytes == {0: GIB}
    assert counters.watermarks == {0: Watermarks(PAGE, 2 * PAGE, 3 * PAGE)}
    assert counters.huge_pools == {0: (HugePool(2 << 20, 4, 4, 0),)}
    assert (counters.numastat, counters.vmstat) == ({}, {"pgfault": 1})


def test_memory_that_is_not_there_has_no_watermarks(tmp_path: Path) -> None:
    roots = write_machine(tmp_path, {0: ("0", 1, "10 20"), 1: ("1", 0, "20 10")})
    write_zoneinfo(roots[1], [(0, "Normal", (1, 2, 3), 1000), (1, "Normal", (0, 0, 0), 0)])
    assert set(read(roots).watermarks) == {0}


@pytest.mark.parametrize(
    ("files", "switches", "words"),
    [
        ({}, Switches(), ""),
        ({"sys/kernel/numa_balancing": "0"}, Switches(balancing=0), "off"),
        ({"sys/kernel/numa_balancing": "1", "sys/vm/numa_stat": "1"}, Switches(1, None, True), "locality"),
        ({"sys/kernel/numa_balancing": "2", "mm/demotion_enabled": "true"}, Switches(2, True), "tiering"),
        (
            {"sys/kernel/numa_balancing": "3", "mm/demotion_enabled": "false"},
            Switches(3, False),
            "locality and tiering",
        ),
        ({"sys/kernel/numa_balancing": "8", "sys/vm/numa_stat": "0"}, Switches(8, None, False), "mode 8"),
    ],
)
def test_switches(tmp_path: Path, files: dict[str, str], switches: Switches, words: str) -> None:
    for name, text in files.items():
        place = f"kernel/mm/numa/{name[3:]}" if name.startswith("mm/") else name
        write(tmp_path / place, text)
    assert read_switches(tmp_path, tmp_path) == switches
    assert switches.balancing_words == words
