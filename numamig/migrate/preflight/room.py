"""Whether what would be chosen fits the target: free memory above the reserve, and huge pages of both kinds."""

from __future__ import annotations

from numamig.migrate.preflight.tally import Tally
from numamig.migrate.request import Request
from numamig.migrate.reserve import reserve_on_target
from numamig.model.finding import Finding, Severity
from numamig.model.topology import NodeCounters, Topology
from numamig.units import format_bytes

__all__ = ["hugetlb_room", "memory_room", "thp_room"]


def memory_room(topology: Topology, counters: NodeCounters, request: Request, wanted_bytes: int) -> list[Finding]:
    """Free memory of the target above the reserve, against what is to move there.

    :param wanted_bytes: without hugetlb pages, which have pools of their own
    """
    target = request.target
    node = topology.node(target)
    if node is None:
        return []
    free = counters.free_bytes.get(target, node.free_bytes)
    kept = reserve_on_target(topology, counters, request)
    if wanted_bytes > max(0, free - kept):
        return [
            Finding(
                "room",
                Severity.WARNING,
                f"node {target} has {free >> 20} MiB free, {wanted_bytes >> 20} MiB are to move there, and "
                f"{format_bytes(kept)} are kept free",
                "what fits is moved, the rest is accounted for; choose less, another node, or a smaller --reserve",
            )
        ]
    words = f"node {target} has {format_bytes(free)} free, of which {format_bytes(kept)} are kept free"
    return [Finding("room", Severity.OK, words)]


def hugetlb_room(counters: NodeCounters, request: Request, tally: Tally) -> list[Finding]:
    """Pages of the target's pools against those that are to move, size by size."""
    target = request.target
    free = {pool.page_bytes: pool.free for pool in counters.huge_pools.get(target, ())}
    found = []
    for size, pages in sorted(tally.hugetlb.items()):
        if pages > free.get(size, 0):
            pool = f"/sys/devices/system/node/node{target}/hugepages/hugepages-{size >> 10}kB/nr_hugepages"
            found.append(
                Finding(
                    "hugetlb",
                    Severity.WARNING,
                    f"{pages:,} hugetlb pages of {format_bytes(size)} are to move, and the pool of node {target} has "
                    f"{free.get(size, 0):,} free: for the others the kernel has to find unbroken memory",
                    f"enlarge the pool, {pool}, or leave them out with --kind",
                )
            )
    return found


def thp_room(topology: Topology, huge_room: int | None, request: Request, tally: Tally) -> list[Finding]:
    """Transparent huge pages that are to move, against unbroken free memory.

    :param huge_room: huge pages that could be had on the target as it is; None where the machine does not tell
    """
    pages = tally.transparent(topology.huge_page_size)
    if huge_room is None or pages <= huge_room:
        return []
    return [
        Finding(
            "thp",
            Severity.WARNING,
            f"{pages:,} huge pages are to move, and free memory of node {request.target} is unbroken enough for "
            f"{huge_room:,}: others are split where the kernel cannot make room by compacting",
            "compact it before, echo 1 > /sys/devices/system/node/node"
            f"{request.target}/compact, or let khugepaged join them again",
        )
    ]
