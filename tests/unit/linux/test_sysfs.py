"""Nodes of machines that the test wrote: what they are, how far and how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.backends.linux.sysfs import read_labels, read_topology
from numamig.model.topology import Performance, Topology
from tests.unit.linux.trees import (
    GIB,
    PAGE,
    Roots,
    cxl_machine,
    eight_nodes,
    ids_with_a_hole,
    one_node,
    write,
    write_access,
    write_dax_device,
    write_machine,
    write_packages,
)

TWO_NODES = {0: ("0", 2, "10 20"), 1: ("1", 2, "20 10")}
NODES = "devices/system/node"


def topology_of(roots: Roots) -> Topology:
    return read_topology(*roots, PAGE)


def test_one_node(tmp_path: Path) -> None:
    topology = topology_of(one_node(tmp_path))
    (node,) = topology.nodes
    assert (node.id, node.cpus, node.packages) == (0, (0, 1, 2, 3), (0,))
    assert (node.total_bytes, node.free_bytes) == (8 * GIB, 2 * GIB)
    assert (node.tier, node.label, node.performance) == (4, "", None)
    assert topology.memory_nodes == (0,)
    assert topology.distances == {(0, 0): 10}
    assert (topology.page_size, topology.huge_page_size) == (PAGE, 2 << 20)


def test_eight_nodes_in_two_packages(tmp_path: Path) -> None:
    topology = topology_of(eight_nodes(tmp_path))
    assert topology.memory_nodes == tuple(range(8))
    assert [topology.distances[0, n] for n in range(8)] == [10, 12, 12, 12, 32, 32, 32, 32]
    assert [node.id for node in topology.nodes if 64 in node.cpus] == [0]
    assert [node.packages for node in topology.nodes] == [(0,)] * 4 + [(1,)] * 4


def test_cxl_memory_behind_asymmetric_distances(tmp_path: Path) -> None:
    topology = topology_of(cxl_machine(tmp_path))
    dram, cxl = topology.nodes
    assert topology.distances == {(0, 0): 10, (0, 1): 50, (1, 0): 255, (1, 1): 10}
    assert (cxl.cpus, cxl.packages, cxl.has_memory, cxl.tier, cxl.label) == ((), (), True, 22, "CXL")
    assert (dram.tier, dram.label) == (4, "")
    assert cxl.performance == Performance((0,), 250, 270, 28_000, 24_000)
    assert dram.performance == Performance((0,), 80, 80, 90_000, 85_000)


def test_ids_with_a_hole(tmp_path: Path) -> None:
    topology = topology_of(ids_with_a_hole(tmp_path))
    assert topology.memory_nodes == (0, 8)
    assert topology.distances[0, 8] == 40
    assert topology.node(8) is topology.nodes[1]
    assert topology.node(1) is None


def test_a_kernel_without_memory_tiers(tmp_path: Path) -> None:
    topology = topology_of(write_machine(tmp_path, TWO_NODES))
    assert [(node.tier, node.label, node.packages, node.performance) for node in topology.nodes] == [
        (None, "", (), None)
    ] * 2


def test_cpus_without_memory(tmp_path: Path) -> None:
    topology = topology_of(write_machine(tmp_path, {0: ("0", 1, "10 20"), 1: ("1", 0, "20 10")}))
    assert topology.memory_nodes == (0,)
    assert [node.id for node in topology.nodes if 1 in node.cpus] == [1]


def test_huge_page_size_is_read(tmp_path: Path) -> None:
    sys_root, proc_root = one_node(tmp_path)
    write(sys_root / "kernel/mm/transparent_hugepage/hpage_pmd_size", str(512 << 20))
    assert read_topology(sys_root, proc_root, 65536).huge_page_size == 512 << 20


@pytest.mark.parametrize(
    ("above", "inherits", "expected"),
    [
        ("[always] madvise never", "[inherit]", (64 << 10, 1 << 20)),
        ("always madvise [never]", "[inherit]", (64 << 10,)),
        ("[always] madvise never", "[never] inherit", (64 << 10,)),
    ],
)
def test_sizes_between_a_page_and_a_huge_page(
    tmp_path: Path, above: str, inherits: str, expected: tuple[int, ...]
) -> None:
    sys_root, proc_root = one_node(tmp_path)
    folder = sys_root / "kernel/mm/transparent_hugepage"
    write(folder / "enabled", above)
    for kib, enabled in {64: "always [madvise] never", 128: "[never]", 1024: inherits, 2048: "[always]"}.items():
        write(folder / f"hugepages-{kib}kB/enabled", enabled)
    assert read_topology(sys_root, proc_root, 4096).folio_sizes == expected


def test_a_kernel_without_numa_is_one_node(tmp_path: Path) -> None:
    sys_root, proc_root = tmp_path / "sys", tmp_path / "proc"
    write(sys_root / "devices/system/cpu/online", "0-3")
    write_packages(sys_root, {0: "0-1", 1: "2-3"})
    write(proc_root / "meminfo", "MemTotal:        2097152 kB\nMemFree:         1048576 kB\nHugepagesize: 2048 kB")
    topology = topology_of((sys_root, proc_root))
    (node,) = topology.nodes
    assert (node.id, node.cpus, node.total_bytes, node.packages) == (0, (0, 1, 2, 3), 2 * GIB, (0, 1))
    assert topology.distances == {(0, 0): 10}


@pytest.mark.parametrize("lists", [True, False], ids=["lists", "no lists"])
def test_packages_as_far_as_they_are_known(tmp_path: Path, lists: bool) -> None:
    sys_root, proc_root = write_machine(tmp_path, {0: ("0-5", 2, "10 20"), 1: ("6-7", 2, "20 10")})
    write_packages(sys_root, {0: "0-2", 3: "3-4"}, lists=lists)
    # What arm64 says where the firmware does not tell.
    write(sys_root / "devices/system/cpu/cpu6/topology/physical_package_id", "-1")
    assert [node.packages for node in topology_of((sys_root, proc_root)).nodes] == [(0, 3), ()]


def test_performance_is_for_cpus_where_a_device_is_nearer(tmp_path: Path) -> None:
    """Node 1 is next to an accelerator, node 2: class 0 speaks of that one, class 1 of the CPUs."""
    roots = write_machine(tmp_path, {0: ("0", 2, "10 20 30"), 1: ("", 2, "20 10 12"), 2: ("", 0, "30 12 10")})
    write_access(roots[0], 1, "access0", [2], 60, 60, 200_000, 200_000)
    assert topology_of(roots).nodes[1].performance == Performance((2,), 60, 60, 200_000, 200_000)
    write_access(roots[0], 1, "access1", [0], 110, 120, 60_000, 50_000)
    assert topology_of(roots).nodes[1].performance == Performance((0,), 110, 120, 60_000, 50_000)


def test_performance_that_is_told_in_part_or_not_at_all(tmp_path: Path) -> None:
    roots = write_machine(tmp_path, TWO_NODES)
    write_access(roots[0], 0, "access0", [0, 1], 80, 0)
    write_access(roots[0], 1, "access0", [1], 0, 0, 0, 0)
    first, second = topology_of(roots).nodes
    assert first.performance == Performance((0, 1), read_latency_ns=80)
    assert second.performance is None


def with_blocks(roots: Roots, blocks: dict[int, tuple[int, ...]]) -> Path:
    """Memory blocks of 1 GiB for each node."""
    write(roots[0] / "devices/system/memory/block_size_bytes", "40000000")
    for node, numbers in blocks.items():
        for number in numbers:
            (roots[0] / NODES / f"node{node}/memory{number}").mkdir()
            (roots[0] / f"devices/system/memory/memory{number}/node{node}").mkdir(parents=True)
    return roots[0]


NVDIMM = "devices/platform/e820_pmem/ndbus0/region0/dax0.1/dax0.1"
SOFT_RESERVED = "devices/platform/hmem.0/dax0.0"


@pytest.mark.parametrize(
    ("place", "driver", "size", "label"),
    [
        (NVDIMM, "kmem", 2 * GIB, {1: "PMEM"}),
        (NVDIMM, "device_dax", 2 * GIB, {}),
        (NVDIMM, "kmem", GIB, {}),
        (SOFT_RESERVED, "kmem", 2 * GIB, {1: ""}),
    ],
    ids=["all of it", "not as memory", "a part of it", "nothing said of what it is"],
)
def test_a_label_is_what_the_devices_of_all_its_memory_say(
    tmp_path: Path, place: str, driver: str, size: int, label: dict[int, str]
) -> None:
    sys_root = with_blocks(write_machine(tmp_path, TWO_NODES), {0: (0, 1), 1: (4, 5)})
    write_dax_device(sys_root, place, node=1, size=size, driver=driver)
    assert read_labels(sys_root) == label


def test_a_cxl_region_that_the_firmware_gave_out_as_memory(tmp_path: Path) -> None:
    sys_root = with_blocks(write_machine(tmp_path, TWO_NODES), {0: (0, 1), 1: (4, 5)})
    region = sys_root / "bus/cxl/devices/region0"
    write(region / "resource", hex(4 * GIB))
    write(region / "size", hex(2 * GIB))
    (sys_root / "bus/cxl/devices/root0").mkdir()
    assert read_labels(sys_root) == {1: "CXL"}
    # The same region as a DAX device that nobody has made memory of: then the node's memory is something else.
    (region / "dax_region0").mkdir()
    assert read_labels(sys_root) == {}
