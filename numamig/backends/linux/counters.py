"""What the kernel counts for each node and for the machine, read often and therefore with few files.

Source: Documentation/ABI/stable/sysfs-devices-node; Documentation/admin-guide/numastat.rst and mm/hugetlbpage.rst;
mm/vmstat.c ``zoneinfo_show_print``; Documentation/admin-guide/sysctl/kernel.rst (numa_balancing) and vm.rst
(numa_stat).
"""

from __future__ import annotations

import re
from pathlib import Path

from numamig.backends.linux.procfs import parse_vmstat
from numamig.backends.linux.sysfs import NODES, read_memory_bytes, read_number, read_online, read_text
from numamig.clock import Clock
from numamig.model.topology import HugePool, NodeCounters, Switches, Watermarks

__all__ = ["CounterReader", "parse_counts", "parse_watermarks", "read_huge_pools", "read_switches"]

_ZONEINFO_NS = 5 * 10**9
_ZONE = re.compile(r"(\d+), zone\s+\S+(.*?)\n\s+managed\s+(\d+)", re.DOTALL)
_MARK = re.compile(r"^\s+(min|low|high)\s+(\d+)$", re.MULTILINE)
_NUMASTAT = {
    "numa_hit": "numa_hit",
    "numa_miss": "numa_miss",
    "numa_foreign": "numa_foreign",
    "numa_interleave": "interleave_hit",
    "numa_local": "local_node",
    "numa_other": "other_node",
}
"""Name in nodeN/vmstat → name in nodeN/numastat; the numbers are the same."""


def parse_watermarks(text: str, page_size: int) -> dict[int, Watermarks]:
    """Watermarks of each node from /proc/zoneinfo; nodes without memory are missing.

    A zone without pages may have watermarks all the same (an empty Movable zone: 32 pages); those do not count.
    """
    sums: dict[int, dict[str, int]] = {}
    # Cut up first: behind the watermarks a zone has lines for each CPU, which can be thousands.
    for part in re.split(r"^Node ", text, flags=re.MULTILINE)[1:]:
        zone = _ZONE.match(part)
        if zone is None or not int(zone[3]):
            continue
        marks = sums.setdefault(int(zone[1]), {"min": 0, "low": 0, "high": 0})
        for mark, pages in _MARK.findall(zone[2]):
            marks[mark] += int(pages) * page_size
    return {node: Watermarks(marks["min"], marks["low"], marks["high"]) for node, marks in sums.items()}


def parse_counts(text: str) -> dict[str, int]:
    """Lines of a name and a number; any others are left out."""
    words = text.split()
    try:
        return dict(zip(words[::2], map(int, words[1::2]), strict=True))  # a quarter of the time of line by line
    except ValueError:
        return parse_vmstat(text)


def read_huge_pools(folder: Path) -> tuple[HugePool, ...]:
    """Pools of a ``hugepages`` folder, of a node or of the machine."""
    pools = []
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return ()
    for name in names:
        size = re.fullmatch(r"hugepages-(\d+)kB", name)
        total = read_number(folder / name / "nr_hugepages")
        if size is None or total is None:
            continue
        # An empty pool has nothing free, and needs no more looking.
        free, surplus = (
            read_number(folder / name / file) or 0 if total else 0 for file in ("free_hugepages", "surplus_hugepages")
        )
        pools.append(HugePool(int(size[1]) << 10, total, free, surplus))
    return tuple(sorted(pools, key=lambda pool: pool.page_bytes))


def read_switches(sys_root: Path, proc_root: Path) -> Switches:
    """As they are now: an operator may throw them at any time."""
    demotion = read_text(sys_root / "kernel/mm/numa/demotion_enabled")
    numastat = read_number(proc_root / "sys/vm/numa_stat")
    return Switches(
        balancing=read_number(proc_root / "sys/kernel/numa_balancing"),
        demotion={"true": True, "1": True, "false": False, "0": False}.get(demotion or ""),
        numastat=None if numastat is None else numastat != 0,
    )


class CounterReader:
    """Reads ``NodeCounters``; keeps the watermarks between two readings.

    To print /proc/zoneinfo the kernel holds the lock of each zone with interrupts off, longer the more CPUs there
    are, and what is wanted from it hardly changes: it is read every five seconds at most.

    :param page_size: bytes of a base page
    """

    def __init__(self, sys_root: Path, proc_root: Path, page_size: int, clock: Clock) -> None:
        self._sys_root = sys_root
        self._proc_root = proc_root
        self._page_size = page_size
        self._clock = clock
        self._watermarks: tuple[int, dict[int, Watermarks]] | None = None

    def read(self) -> NodeCounters:
        """Everything that this kernel has."""
        taken_ns = self._clock.now_ns()
        folder = self._sys_root / NODES
        free: dict[int, int] = {}
        pools: dict[int, tuple[HugePool, ...]] = {}
        numastat: dict[int, dict[str, int]] = {}
        by_node: dict[int, dict[str, int]] = {}
        online = read_online(self._sys_root)
        for node in online:
            counted = parse_counts(read_text(folder / f"node{node}/vmstat") or "")
            if "nr_free_pages" in counted:  # MemFree of the node's meminfo is the same number
                free[node] = counted["nr_free_pages"] * self._page_size
            else:
                free[node] = read_memory_bytes(folder / f"node{node}/meminfo")[1]
            stat = {theirs: counted[ours] for ours, theirs in _NUMASTAT.items() if ours in counted}
            stat = stat or parse_counts(read_text(folder / f"node{node}/numastat") or "")
            found = read_huge_pools(folder / f"node{node}/hugepages")
            if counted:
                by_node[node] = counted
            if stat:
                numastat[node] = stat
            if found:
                pools[node] = found
        if not online:
            free[0] = read_memory_bytes(self._proc_root / "meminfo")[1]
            if found := read_huge_pools(self._sys_root / "kernel/mm/hugepages"):
                pools[0] = found
        return NodeCounters(
            taken_ns=taken_ns,
            free_bytes=free,
            vmstat=parse_counts(read_text(self._proc_root / "vmstat") or ""),
            watermarks=self._read_watermarks(taken_ns),
            huge_pools=pools,
            numastat=numastat,
            node_vmstat=by_node,
            switches=read_switches(self._sys_root, self._proc_root),
        )

    def free_bytes(self, node: int) -> int:
        """Of one node, from one file."""
        counted = read_text(self._sys_root / NODES / f"node{node}/vmstat") or ""
        if (found := re.search(r"^nr_free_pages (\d+)$", counted, re.MULTILINE)) is not None:
            return int(found[1]) * self._page_size
        return self.read().free_bytes.get(node, 0)

    def _read_watermarks(self, now_ns: int) -> dict[int, Watermarks]:
        if self._watermarks is None or now_ns - self._watermarks[0] >= _ZONEINFO_NS:
            marks = parse_watermarks(read_text(self._proc_root / "zoneinfo") or "", self._page_size)
            self._watermarks = (now_ns, marks)
        return self._watermarks[1]
