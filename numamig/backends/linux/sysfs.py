"""The machine's nodes as /sys and /proc describe them; every reader takes the roots of both.

Source: Documentation/ABI/stable/sysfs-devices-node; Documentation/ABI/stable/sysfs-devices-system-cpu;
Documentation/ABI/testing/sysfs-bus-dax and sysfs-bus-cxl; Documentation/admin-guide/mm/numaperf.rst;
drivers/base/node.c; drivers/cxl/core/region.c; mm/memory-tiers.c. A kernel without CONFIG_NUMA has no node folder: then
all is one node, number 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from numamig.model.nodeset import parse_ranges
from numamig.model.topology import Node, Performance, Topology

__all__ = [
    "HUGE_PAGE_SIZE",
    "NODES",
    "read_labels",
    "read_list",
    "read_memory_bytes",
    "read_number",
    "read_online",
    "read_performance",
    "read_text",
    "read_topology",
]

HUGE_PAGES = "kernel/mm/transparent_hugepage"
NODES = "devices/system/node"
_TIERS = "devices/virtual/memory_tiering"
HUGE_PAGE_SIZE = 2 << 20
"""Where the kernel does not say: no transparent huge pages, or a kernel older than 4.6."""
_MEMORY = re.compile(r"^(?:Node \d+ )?(MemTotal|MemFree):\s+(\d+) kB", re.MULTILINE)


def read_text(path: Path) -> str | None:
    """A small file of /sys or /proc; None where it is not there, not readable, or has no answer."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """A file that holds one decimal number; None where there is none."""
    text = read_text(path)
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


def read_list(path: Path) -> list[int] | None:
    """A file that holds a kernel list, "0-3,8"; None where there is none."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return parse_ranges(text)
    except ValueError:
        return None


def read_memory_bytes(path: Path) -> tuple[int, int]:
    """Total and free bytes of a meminfo file, of a node or of the machine."""
    found = {match[1]: int(match[2]) << 10 for match in _MEMORY.finditer(read_text(path) or "")}
    return found.get("MemTotal", 0), found.get("MemFree", 0)


def _tiers(sys_root: Path) -> dict[int, int]:
    """Node → memory tier, smaller is faster; empty where the kernel has no tiers."""
    tiers: dict[int, int] = {}
    for folder in sorted((sys_root / _TIERS).glob("memory_tier[0-9]*")):
        number = folder.name.removeprefix("memory_tier")
        if number.isdecimal():
            tiers.update((node, int(number)) for node in read_list(folder / "nodelist") or ())
    return tiers


def read_online(sys_root: Path) -> list[int]:
    """Ids of all online nodes, ascending; may have holes. Empty on a kernel without NUMA."""
    return read_list(sys_root / NODES / "online") or []


def _hexadecimal(path: Path) -> int:
    text = read_text(path) or ""
    return int(text, 16) if re.fullmatch(r"(0x)?[0-9a-f]+", text) else 0


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _dax_memory(sys_root: Path) -> Iterator[tuple[int, str, int]]:
    """Node, kind and bytes of each DAX device that serves as memory (kmem); a kind only where its bus tells."""
    for device in _entries(sys_root / "bus/dax/devices"):
        node, size = read_number(device / "target_node"), read_number(device / "size")
        if (device / "driver").resolve().name == "kmem" and node is not None and node >= 0 and size:
            above = device.resolve().parts
            kind = (
                "CXL" if any(re.fullmatch(r"dax_region\d+", part) for part in above)
                else "PMEM" if any(re.fullmatch(r"ndbus\d+", part) for part in above)
                else ""
            )  # fmt: skip
            yield node, kind, size


def _cxl_memory(sys_root: Path, block_bytes: int) -> Iterator[tuple[int, str, int]]:
    """The same for CXL regions that the firmware gave out as plain memory: their addresses tell the node."""
    for region in _entries(sys_root / "bus/cxl/devices"):
        if not re.fullmatch(r"region\d+", region.name) or any(e.name.startswith("dax_") for e in _entries(region)):
            continue
        start, size = _hexadecimal(region / "resource"), _hexadecimal(region / "size")
        block = sys_root / f"devices/system/memory/memory{-(-start // block_bytes)}"
        nodes = [int(e.name[4:]) for e in _entries(block) if re.fullmatch(r"node\d+", e.name)]
        if start and size >= block_bytes and len(nodes) == 1:
            yield nodes[0], "CXL", size


def read_labels(sys_root: Path) -> dict[int, str]:
    """Node → what its memory is, where devices of one kind account for all of it; the others are missing.

    Nothing tells that memory is plain DRAM, and neither tiers nor distances tell what slower memory is.
    """
    block_bytes = _hexadecimal(sys_root / "devices/system/memory/block_size_bytes")
    if not block_bytes:
        return {}
    accounted: Counter[int] = Counter()
    kinds: dict[int, set[str]] = {}
    for node, kind, size in (*_dax_memory(sys_root), *_cxl_memory(sys_root, block_bytes)):
        accounted[node] += size
        kinds.setdefault(node, set()).add(kind)
    labels: dict[int, str] = {}
    for node, found in kinds.items():
        blocks = sum(bool(re.fullmatch(r"memory\d+", e.name)) for e in _entries(sys_root / NODES / f"node{node}"))
        if len(found) == 1 and 0 < blocks * block_bytes <= accounted[node]:
            labels[node] = found.pop()
    return labels


def _packages(sys_root: Path, cpus: Iterable[int]) -> dict[int, int]:
    """CPU → physical package; CPUs whose package is not known are missing.

    A package tells all of its CPUs, so that on a large machine few files are read.
    """
    found: dict[int, int] = {}
    for cpu in cpus:
        if cpu in found:
            continue
        folder = sys_root / f"devices/system/cpu/cpu{cpu}/topology"
        package = read_number(folder / "physical_package_id")
        if package is not None and package >= 0:
            found.update(dict.fromkeys(read_list(folder / "package_cpus_list") or (), package))  # not before Linux 5.3
            found[cpu] = package
    return found


def _read_access(folder: Path) -> Performance | None:
    """The initiators of one access class and what they are promised; None where nothing is."""
    initiators = sorted(int(entry.name[4:]) for entry in _entries(folder) if re.fullmatch(r"node\d+", entry.name))
    # 0: the class is there, but the platform left this value out.
    values = [
        read_number(folder / name) or None
        for name in ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth")
    ]
    return Performance(tuple(initiators), *values) if any(values) else None


def read_performance(folder: Path, with_cpus: Collection[int]) -> Performance | None:
    """HMAT's word on a node, as its nearest CPUs see it.

    Class 0 is for the nearest initiators of any kind; where that is a device without CPUs, class 1 is for the nearest
    CPUs, and they are what memory is moved for. Class 0 stands in where the kernel has no class 1 yet.

    :param folder: nodeN
    :param with_cpus: nodes that have CPUs
    """
    nearest = _read_access(folder / "access0/initiators")
    if nearest is not None and nearest.initiators and all(node in with_cpus for node in nearest.initiators):
        return nearest
    return _read_access(folder / "access1/initiators") or nearest


def _folio_sizes(sys_root: Path, huge_page_size: int) -> tuple[int, ...]:
    """Sizes below that of huge pages in which anonymous memory is allocated as things are set now."""
    above, found = read_text(sys_root / HUGE_PAGES / "enabled") or "", []
    for folder in _entries(sys_root / HUGE_PAGES):
        size = re.fullmatch(r"hugepages-(\d+)kB", folder.name)
        chosen = read_text(folder / "enabled") or ""
        if size and "[never]" not in (above if "[inherit]" in chosen else chosen):
            found.append(int(size[1]) << 10)
    return tuple(sorted(each for each in found if each < huge_page_size))


def read_topology(sys_root: Path, proc_root: Path, page_size: int) -> Topology:
    """Nodes with CPUs, memory and tiers, how fast they are, and their distances.

    :param page_size: bytes of a base page, which no file tells
    """
    huge = read_number(sys_root / HUGE_PAGES / "hpage_pmd_size") or HUGE_PAGE_SIZE
    folios = _folio_sizes(sys_root, huge)
    online = read_online(sys_root)
    if not online:
        total, free = read_memory_bytes(proc_root / "meminfo")
        cpus = tuple(read_list(sys_root / "devices/system/cpu/online") or ())
        packages = tuple(sorted(set(_packages(sys_root, cpus).values())))
        return Topology((Node(0, cpus, total, free, packages=packages),), {(0, 0): 10}, page_size, huge, folios)
    with_memory = read_list(sys_root / NODES / "has_memory")
    cpus_of = {node: tuple(read_list(sys_root / NODES / f"node{node}/cpulist") or ()) for node in online}
    with_cpus = [node for node, cpus in cpus_of.items() if cpus]
    package_of = _packages(sys_root, (cpu for cpus in cpus_of.values() for cpu in cpus))
    tiers, labels = _tiers(sys_root), read_labels(sys_root)
    nodes = []
    distances: dict[tuple[int, int], int] = {}
    for node, cpus in cpus_of.items():
        folder = sys_root / NODES / f"node{node}"
        total, free = read_memory_bytes(folder / "meminfo")
        if with_memory is not None and node not in with_memory:
            total = free = 0
        nodes.append(
            Node(
                node,
                cpus,
                total,
                free,
                tiers.get(node),
                labels.get(node, ""),
                tuple(sorted({package_of[cpu] for cpu in cpus if cpu in package_of})),
                read_performance(folder, with_cpus),
            )
        )
        # One number for each online node, in their order, not for each id: ids may have holes.
        row = (read_text(folder / "distance") or "").split()
        distances.update(((node, other), int(far)) for other, far in zip(online, row, strict=False))
    return Topology(tuple(nodes), distances, page_size, huge, folios)
