"""Machines as /sys and /proc describe them, written by the test: folders with the files that kernels have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = [
    "GIB",
    "PAGE",
    "Roots",
    "cxl_machine",
    "eight_nodes",
    "ids_with_a_hole",
    "one_node",
    "write",
    "write_access",
    "write_dax_device",
    "write_machine",
    "write_packages",
    "write_pool",
    "write_zoneinfo",
]

GIB = 1 << 30
PAGE = 4096
NODES = "devices/system/node"
Roots = tuple[Path, Path]
"""Where /sys and /proc are."""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def write_machine(
    root: Path, nodes: Mapping[int, tuple[str, int, str]], *, tiers: Mapping[int, str] | None = None
) -> Roots:
    """Node → (cpulist, GiB of memory, row of distances); tier → its nodes."""
    sys_root, proc_root = root / "sys", root / "proc"
    folder = sys_root / NODES
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


def one_node(root: Path) -> Roots:
    """A laptop."""
    roots = write_machine(root, {0: ("0-3", 8, "10")}, tiers={4: "0"})
    write_packages(roots[0], {0: "0-3"})
    return roots


def eight_nodes(root: Path) -> Roots:
    """Two packages of four nodes each, eight cores a node with two threads."""

    def row(node: int) -> str:
        return " ".join("10" if other == node else "12" if other // 4 == node // 4 else "32" for other in range(8))

    roots = write_machine(root, {n: (f"{n * 8}-{n * 8 + 7},{64 + n * 8}-{71 + n * 8}", 64, row(n)) for n in range(8)})
    write_packages(roots[0], {0: "0-31,64-95", 1: "32-63,96-127"})
    return roots


def cxl_machine(root: Path) -> Roots:
    """A CXL region of 4 GiB handed to the kernel as memory, slower one way than the other."""
    sys_root, proc_root = write_machine(root, {0: ("0-1", 16, "10 50"), 1: ("", 4, "255 10")}, tiers={4: "0", 22: "1"})
    write_packages(sys_root, {0: "0-1"})
    write(sys_root / "devices/system/memory/block_size_bytes", "80000000")
    for node, blocks in {0: (0, 1, 2, 3, 4, 5, 6, 7), 1: (16, 17)}.items():
        for block in blocks:
            (sys_root / NODES / f"node{node}/memory{block}").mkdir()
            (sys_root / f"devices/system/memory/memory{block}/node{node}").mkdir(parents=True)
    write_dax_device(
        sys_root, "devices/platform/ACPI0017:00/root0/decoder0.0/region0/dax_region0/dax0.0", node=1, size=4 * GIB
    )
    write_access(sys_root, 0, "access0", [0], 80, 80, 90_000, 85_000)
    write_access(sys_root, 1, "access0", [0], 250, 270, 28_000, 24_000)
    return sys_root, proc_root


def ids_with_a_hole(root: Path) -> Roots:
    """As on POWER: nodes 0 and 8."""
    return write_machine(root, {0: ("0", 1, "10 40"), 8: ("1", 1, "40 10")})


def write_packages(sys_root: Path, packages: Mapping[int, str], *, lists: bool = True) -> None:
    """Package → its CPUs. ``lists`` false: a kernel that does not list the CPUs of a package."""
    for package, cpus in packages.items():
        for part in cpus.split(","):
            first, _, last = part.partition("-")
            for cpu in range(int(first), int(last or first) + 1):
                folder = sys_root / f"devices/system/cpu/cpu{cpu}/topology"
                write(folder / "physical_package_id", str(package))
                if lists:
                    write(folder / "package_cpus_list", cpus)


def write_access(sys_root: Path, node: int, access: str, initiators: Sequence[int], *values: int) -> None:
    """HMAT: read and write latency in ns, read and write bandwidth in MiB/s; none of them where there are no values."""
    folder = sys_root / NODES / f"node{node}/{access}/initiators"
    folder.mkdir(parents=True)
    for initiator in initiators:
        (folder / f"node{initiator}").symlink_to(f"../../../node{initiator}")
    for name, value in zip(
        ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth"), values, strict=False
    ):
        write(folder / name, str(value))


def write_dax_device(sys_root: Path, place: str, *, node: int, size: int, driver: str = "kmem") -> None:
    """A DAX device at ``place`` below /sys."""
    name = place.rpartition("/")[2]
    write(sys_root / place / "target_node", str(node))
    write(sys_root / place / "size", str(size))
    (sys_root / f"bus/dax/drivers/{driver}").mkdir(parents=True, exist_ok=True)
    (sys_root / place / "driver").symlink_to(sys_root / f"bus/dax/drivers/{driver}")
    (sys_root / "bus/dax/devices").mkdir(exist_ok=True)
    (sys_root / f"bus/dax/devices/{name}").symlink_to(sys_root / place)


def write_pool(folder: Path, kib: int, total: int, free: int, surplus: int = 0) -> None:
    """A hugetlb pool below ``folder``, a node's or the machine's."""
    for name, value in {"nr_hugepages": total, "free_hugepages": free, "surplus_hugepages": surplus}.items():
        write(folder / f"hugepages/hugepages-{kib}kB/{name}", str(value))


def write_zoneinfo(proc_root: Path, zones: Sequence[tuple[int, str, tuple[int, int, int], int]]) -> None:
    """Zones as Linux 6.12 prints them: node, name, (min, low, high) and managed pages."""
    text = ""
    for node, name, (low_min, low, high), managed in zones:
        text += f"Node {node}, zone {name:>8}\n"
        if managed and name != "Movable":
            text += "  per-node stats\n      nr_inactive_anon 91724\n      nr_mapped    51813\n"
        text += f"  pages free     {managed}\n        boost    0\n        min      {low_min}\n        low      {low}\n"
        text += f"        high     {high}\n        promo    {high + 7}\n        spanned  {managed}\n"
        text += f"        present  {managed}\n        managed  {managed}\n        cma      0\n"
        text += "        protection: (0, 2867, 7871, 7871, 7871)\n"
        if managed:
            text += "      nr_free_pages 3840\n  pagesets\n"
            text += "".join(
                f"    cpu: {cpu}\n              count: 12\n              high:  14\n              batch: 1\n"
                f"              high_min: 14\n              high_max: 240\n  vm stats threshold: 6\n"
                for cpu in range(2)
            )
            text += "  node_unreclaimable:  0\n  start_pfn:           1\n"
    write(proc_root / "zoneinfo", text.rstrip("\n"))
