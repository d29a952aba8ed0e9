"""Who goes where: whole processes to the node with the most room left, and one that fits nowhere in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from numamig.backends.base import Backend, TellsPolicies
from numamig.migrate.destination import Node
from numamig.migrate.drain.holders import Held
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.preflight.pages import bound_nodes
from numamig.migrate.request import Mapped, Request
from numamig.migrate.reserve import reserve_on
from numamig.model.finding import Severity
from numamig.model.pages import Ranges
from numamig.model.topology import NodeCounters, Topology
from numamig.observe.placement import movable

__all__ = ["Share", "assign", "nearest_with_room", "parted", "plan_share", "room_by_node", "wanted_bytes"]

_END = 1 << 64


@dataclass(frozen=True, slots=True)
class Share:
    """What of one process goes to one node; a job."""

    held: Held
    node: int
    bytes: int
    """Expected to move there."""
    within: Ranges | None = None
    """Only these addresses, where the process is parted; None: all of it."""


def room_by_node(topology: Topology, counters: NodeCounters, nodes: Sequence[int], request: Request) -> dict[int, int]:
    """Bytes that may come to each of these nodes, its reserve left free; whole pages."""
    room: dict[int, int] = {}
    for node in nodes:
        above = counters.free_bytes.get(node, 0) - reserve_on(node, topology, counters, request)
        room[node] = max(0, above // topology.page_size * topology.page_size)
    return room


def nearest_with_room(
    topology: Topology, emptied: Sequence[int], room: Mapping[int, int], wanted_bytes: int
) -> tuple[int, ...]:
    """The nodes nearest to those that are emptied, as many as it takes to have the room; ascending.

    :param room: bytes, of every node that may receive; those without any are passed over where others have some
    """

    def distance(node: int) -> tuple[int, int]:
        return min(topology.distance(source, node) for source in emptied), node

    taken: list[int] = []
    left = wanted_bytes
    for node in sorted(room, key=distance):
        if room[node] and (left > 0 or not taken):
            taken.append(node)
            left -= room[node]
    return tuple(sorted(taken or room))


def wanted_bytes(held: Sequence[Held], *, shared: bool) -> list[int]:
    """Of each process, what takes room where it goes: hugetlb pages go into pools.

    What is shared takes room once: of sharers the first has it, and those after him what they have beyond that.

    :param shared: shared pages are to move too; else they take none
    """
    had = 0
    wanted: list[int] = []
    for each in held:
        common = each.shared_bytes or 0
        further = max(0, common - had) if shared else 0
        had = max(had, common)
        wanted.append(max(0, each.private_bytes - each.hugetlb_bytes) + further + each.hidden_bytes)
    return wanted


def assign(held: Sequence[Held], room: Mapping[int, int], *, shared: bool) -> list[dict[int, int]]:
    """For each process, in the same order: node → bytes that are to go there.

    Whole processes go to the node with the most room left that their cpuset allows; one that fits nowhere is parted
    over nodes in that order, and what is beyond all room stays with the first. Who has less of a choice has it first.

    :param held: the largest first
    :param room: bytes by node
    :param shared: as of ``wanted_bytes``
    """
    left = dict(room)
    wanted = wanted_bytes(held, shared=shared)
    choice = [[node for node in room if one.allowed is None or node in one.allowed] or list(room) for one in held]
    given: list[dict[int, int]] = [{} for _ in held]
    for nth in sorted(range(len(held)), key=lambda nth: len(choice[nth])):
        given[nth] = _fill(sorted(choice[nth], key=lambda node: (-left[node], node)), wanted[nth], left)
    return given


def _fill(nodes: Sequence[int], wanted: int, left: dict[int, int]) -> dict[int, int]:
    """Node → bytes; each node takes what it has room for, the first also what is beyond all room."""
    parts: dict[int, int] = {}
    rest = wanted
    for node in nodes:
        if rest and left[node]:
            parts[node] = min(rest, left[node])
            left[node] -= parts[node]
            rest -= parts[node]
    if rest or not parts:
        parts[nodes[0]] = parts.get(nodes[0], 0) + rest
    return parts


def parted(backend: Backend, each: Held, parts: Mapping[int, int], nodes: Sequence[int]) -> list[Share]:
    """The same as jobs; a process that goes to several nodes is cut by address, between two folios.

    :param nodes: that are emptied
    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look
    """
    if len(parts) == 1:
        ((node, count),) = parts.items()
        return [Share(each, node, count)]
    cuts = _cuts(backend, each.process.pid, nodes, list(parts.values())[:-1])
    edges = [0, *cuts, _END]
    return [
        Share(each, node, count, [(low, high)])
        for (node, count), low, high in zip(parts.items(), edges, edges[1:], strict=False)
        if low < high
    ]


def _cuts(backend: Backend, pid: int, nodes: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Addresses before which there are the first of ``sizes`` bytes on the nodes, the first two, and so on."""
    cuts: list[int] = []
    marks = np.cumsum(sizes).tolist()
    seen = 0
    for runs in backend.page_runs(pid, movable(backend.regions(pid))):
        here = runs[np.isin(runs.node, nodes)]
        for start, size, count in zip(here.address.tolist(), here.page_size.tolist(), here.count.tolist(), strict=True):
            while len(cuts) < len(marks) and seen + size * count >= marks[len(cuts)]:
                folios = -(-(marks[len(cuts)] - seen) // size)
                cuts.append(start + folios * size)
            seen += size * count
    return cuts


def plan_share(backend: Backend, share: Share, request: Request) -> Plan:
    """What it comes to. Regions that are bound away from the node by a policy are left out, and the plan warns of that.

    :param request: of the process, to any node
    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look at it, or move its pages
    """
    request = replace(request, to=Node(share.node), within=share.within)
    if not request.shared and 2 * (share.held.shared_bytes or 0) > share.held.bytes:
        request = replace(request, mapped=Mapped.PRIVATE)  # to ask is cheaper than to try what stays
    plan = plan_request(backend, request)
    bound = next((finding for finding in plan.errors if finding.check == "policy"), None)
    if bound is None or not isinstance(backend, TellsPolicies):
        return plan
    told = {policy.start: bound_nodes(policy.policy) for policy in backend.policies(request.pid)}
    within: list[tuple[int, int]] = []
    for region in backend.regions(request.pid):
        nodes = told.get(region.start)
        if nodes is None or share.node in nodes:
            within += _overlap((region.start, region.end), share.within)
    rest = plan_request(backend, replace(request, within=within))
    if not rest.pages:
        return plan  # with its error: there is nothing else
    remedy = "that stays: change the policy (numactl, mbind) or the cpuset of its owner"
    stays = replace(bound, severity=Severity.WARNING, remedy=remedy)
    return replace(rest, findings=(*rest.findings, stays))


def _overlap(region: tuple[int, int], within: Ranges | None) -> list[tuple[int, int]]:
    parts = [(0, _END)] if within is None else within
    both = [(max(region[0], low), min(region[1], high)) for low, high in parts]
    return [(low, high) for low, high in both if low < high]
