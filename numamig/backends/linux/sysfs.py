"""The machine's nodes as /sys and /proc describe them; every reader takes the roots of both.

Source: Documentation/ABI/stable/sysfs-devices-node; drivers/base/node.c; mm/memory-tiers.c. A kernel without
CONFIG_NUMA has no node folder: then all is one node, number 0.
"""

from __future__ import annotations

import re
from pathlib import Path

from numamig.model.nodeset import parse_ranges
from numamig.model.topology import Node, Topology

__all__ = ["HUGE_PAGE_SIZE", "NODES", "read_free_bytes", "read_list", "read_number", "read_text", "read_topology"]

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


def _memory_bytes(path: Path) -> tuple[int, int]:
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


def _online(sys_root: Path) -> list[int]:
    """Ids of all online nodes, ascending; may have holes. Empty on a kernel without NUMA."""
    return read_list(sys_root / NODES / "online") or []


def read_topology(sys_root: Path, proc_root: Path, page_size: int) -> Topology:
    """Nodes with CPUs, memory and tiers, and their distances.

    :param page_size: bytes of a base page, which no file tells
    """
    huge = read_number(sys_root / "kernel/mm/transparent_hugepage/hpage_pmd_size") or HUGE_PAGE_SIZE
    online = _online(sys_root)
    if not online:
        total, free = _memory_bytes(proc_root / "meminfo")
        cpus = tuple(read_list(sys_root / "devices/system/cpu/online") or ())
        return Topology((Node(0, cpus, total, free),), {(0, 0): 10}, page_size, huge)
    with_memory = read_list(sys_root / NODES / "has_memory")
    tiers = _tiers(sys_root)
    nodes = []
    distances: dict[tuple[int, int], int] = {}
    for node in online:
        folder = sys_root / NODES / f"node{node}"
        total, free = _memory_bytes(folder / "meminfo")
        if with_memory is not None and node not in with_memory:
            total = free = 0
        cpus = tuple(read_list(folder / "cpulist") or ())
        nodes.append(Node(node, cpus, total, free, tiers.get(node)))
        # One number for each online node, in their order, not for each id: ids may have holes.
        row = (read_text(folder / "distance") or "").split()
        distances.update(((node, other), int(far)) for other, far in zip(online, row, strict=False))
    return Topology(tuple(nodes), distances, page_size, huge)


def read_free_bytes(sys_root: Path, proc_root: Path) -> dict[int, int]:
    """Free bytes of each online node, now."""
    online = _online(sys_root)
    if not online:
        return {0: _memory_bytes(proc_root / "meminfo")[1]}
    return {node: _memory_bytes(sys_root / NODES / f"node{node}" / "meminfo")[1] for node in online}
