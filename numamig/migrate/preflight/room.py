"""Whether what would be chosen fits the target: free memory above the reserve, and huge pages of both kinds."""

from __future__ import annotations

from collections import Counter

from numamig.migrate.preflight.tally import Tally
from numamig.migrate.request import Request
from numamig.migrate.reserve import reserve_on
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.model.topology import NodeCounters, Topology
from numamig.units import format_bytes

__all__ = ["hugetlb_room", "memory_room", "thp_room"]


def memory_room(
    topology: Topology, counters: NodeCounters, request: Request, target: int, wanted_bytes: int
) -> list[Finding]:
    """Free memory of a node above its reserve, against what is to move there.

    :param wanted_bytes: without hugetlb pages, which have pools of their own
    """
    node = topology.node(target)
    if node is None:
        return []
    free = counters.free_bytes.get(target, node.free_bytes)
    kept = reserve_on(target, topology, counters, request)
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
    """Pages of the pools where they go against those that are to move, size by size."""
    nodes = request.to.nodes
    free: Counter[int] = Counter()
    for node in nodes:
        free.update({pool.page_bytes: pool.free for pool in counters.huge_pools.get(node, ())})
    found = []
    for size, pages in sorted(tally.hugetlb.items()):
        if pages > free[size]:
            pool = f"/sys/devices/system/node/node{nodes[0]}/hugepages/hugepages-{size >> 10}kB/nr_hugepages"
            found.append(
                Finding(
                    "hugetlb",
                    Severity.WARNING,
                    f"{pages:,} hugetlb pages of {format_bytes(size)} are to move, and {_pools(nodes)} "
                    f"{free[size]:,} free: for the others the kernel has to find unbroken memory",
                    f"enlarge the pool, {pool}, or leave them out with --kind",
                )
            )
    return found


def _pools(nodes: tuple[int, ...]) -> str:
    if len(nodes) == 1:
        return f"the pool of node {nodes[0]} has"
    return f"the pools of nodes {format_nodeset(nodes)} have"


def thp_room(topology: Topology, huge_room: int | None, request: Request, tally: Tally) -> list[Finding]:
    """Transparent huge pages that are to move, against unbroken free memory.

    :param huge_room: huge pages that could be had on the target as it is; None where the machine does not tell
    """
    pages = tally.transparent(topology.huge_page_size)
    if huge_room is None or pages <= huge_room:
        return []
    nodes = request.to.nodes
    where = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {format_nodeset(nodes)}"
    return [
        Finding(
            "thp",
            Severity.WARNING,
            f"{pages:,} huge pages are to move, and free memory of {where} is unbroken enough for "
            f"{huge_room:,}: others are split where the kernel cannot make room by compacting",
            "compact it before, echo 1 > /sys/devices/system/node/node"
            f"{nodes[0]}/compact, or let khugepaged join them again",
        )
    ]
