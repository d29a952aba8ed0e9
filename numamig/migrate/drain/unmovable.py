"""What is on a node and mapped by nobody: the kernel's own memory, page cache, free pages of hugetlb pools.

``move_pages`` goes by the page tables of a process, so what is in none is out of its reach. Source: enum
``node_stat_item`` and ``vmstat_text`` (mm/vmstat.c); Documentation/filesystems/proc.rst (meminfo);
Documentation/admin-guide/sysctl/vm.rst (drop_caches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numamig.migrate.drain.holders import Survey
from numamig.model.topology import NodeCounters, Topology

__all__ = ["Unmovable", "mapped_bytes", "unmovable"]


@dataclass(frozen=True, slots=True)
class Unmovable:
    """Memory of one kind."""

    kind: str
    """In one word, as JSON has it."""
    words: str
    bytes: int
    remedy: str
    """What frees it; "" where nothing does."""

    def as_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "what": self.words, "bytes": self.bytes, "remedy": self.remedy}


_CACHE = "clean page cache goes with: sync; echo 1 > /proc/sys/vm/drop_caches; tmpfs with its files, or to swap"
_SLAB = "echo 2 > /proc/sys/vm/drop_caches frees directory entries and inodes"
_POOL = "echo 0 > /sys/devices/system/node/node{}/hugepages/hugepages-{}kB/nr_hugepages"
_REST = "page cache goes with: sync; echo 1 > /proc/sys/vm/drop_caches; the kernel's own memory stays"


def unmovable(
    topology: Topology, counters: NodeCounters, nodes: Sequence[int], seen: Survey | None
) -> tuple[Unmovable, ...]:
    """What of these nodes is in nobody's page table, the most first; nothing that is empty.

    :param seen: who has memory there, where that was asked of every process: what is left is told from that where the
        machine counts no kinds of memory; None where it was not
    """
    found: list[Unmovable] = []
    for node in nodes:
        counted = counters.node_vmstat.get(node)
        if counted:
            found += _kinds(counted, _used_bytes(topology, counters, node), counters, topology.page_size, node)
        found += _free_pools(counters, node)
    if not found and seen is not None and not seen.locked and not any(counters.node_vmstat.get(n) for n in nodes):
        rest = sum(_used_bytes(topology, counters, node) for node in nodes) - _seen_bytes(seen)
        found.append(Unmovable("unmapped", "the kernel's own memory, and page cache", rest, _REST))
    sums: dict[str, Unmovable] = {}
    for each in found:
        if each.bytes > 0:
            before = sums[each.kind].bytes if each.kind in sums else 0
            sums[each.kind] = Unmovable(each.kind, each.words, before + each.bytes, each.remedy)
    return tuple(sorted(sums.values(), key=lambda each: -each.bytes))


def mapped_bytes(counters: NodeCounters, nodes: Sequence[int], page_size: int) -> int | None:
    """What processes map on these nodes by the kernel's count, each page once; None where it does not count that."""
    total = 0
    for node in nodes:
        counted = counters.node_vmstat.get(node, {})
        if "nr_anon_pages" not in counted or "nr_mapped" not in counted:
            return None
        total += (counted["nr_anon_pages"] + counted["nr_mapped"]) * page_size
    return total


def _used_bytes(topology: Topology, counters: NodeCounters, node_id: int) -> int:
    node = topology.node(node_id)
    return 0 if node is None else max(0, node.total_bytes - counters.free_bytes.get(node_id, node.free_bytes))


def _seen_bytes(seen: Survey) -> int:
    """Each page once, as near as that can be told: sharers are taken to share with the one who shares most."""
    return sum(each.private_bytes for each in seen.held) + max(
        (each.shared_bytes or 0 for each in seen.held), default=0
    )


def _kinds(counted: Mapping[str, int], used: int, counters: NodeCounters, page: int, node: int) -> list[Unmovable]:
    """By the counters of nodeN/vmstat: base pages, but for stacks, which are in KiB."""

    def pages(*names: str) -> int:
        return sum(counted.get(name, 0) for name in names) * page

    cache, mapped = pages("nr_file_pages"), pages("nr_mapped")
    slab = pages("nr_slab_reclaimable", "nr_slab_unreclaimable")
    stacks = counted.get("nr_kernel_stack", 0) << 10
    tables = pages("nr_page_table_pages", "nr_sec_page_table_pages")
    pools = sum(pool.page_bytes * pool.total for pool in counters.huge_pools.get(node, ()))
    rest = used - pages("nr_anon_pages") - cache - slab - stacks - tables - pools
    return [
        Unmovable("cache", "page cache and tmpfs that nobody maps", cache - mapped, _CACHE),
        Unmovable("slab", "slab", slab, _SLAB),
        Unmovable("stacks", "kernel stacks", stacks, "they go with their threads"),
        Unmovable("page_tables", "page tables", tables, "they go with their processes"),
        Unmovable("kernel", "other kernel memory", rest, ""),
    ]


def _free_pools(counters: NodeCounters, node: int) -> list[Unmovable]:
    return [
        Unmovable(
            f"hugetlb_{pool.page_bytes >> 10}kB",
            f"free hugetlb pages of {pool.page_bytes >> 10} KiB",
            pool.free * pool.page_bytes,
            _POOL.format(node, pool.page_bytes >> 10),
        )
        for pool in counters.huge_pools.get(node, ())
    ]
