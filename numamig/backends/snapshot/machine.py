"""The machine of a twin, as yet without processes: nodes with the free memory that they have now, kernel, caller."""

from __future__ import annotations

import re
from dataclasses import replace

from numamig.backends.base import Backend, Capabilities, TellsHealth
from numamig.backends.simulator.kernels import KERNELS, KernelProfile
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import SimNode
from numamig.backends.simulator.process import Caller
from numamig.model.topology import Node, NodeCounters, Topology

__all__ = ["kernel_like", "machine_like"]

_RELEASE = re.compile(r"(\d+)\.(\d+)")
_LIKE_6_12 = (6, 6)
"""From there on a kernel answers like 6.12 rather than like 6.1: it flushes by the batch (6.3), and sees pages that
NUMA balancing has marked (6.6)."""


def kernel_like(release: str, topology: Topology) -> KernelProfile:
    """The profile that is nearest to a kernel, with the page sizes of its machine.

    :param release: "6.1.0-56-amd64", or the name of a profile
    """
    profile = KERNELS.get(release)
    if profile is None:
        found = _RELEASE.search(release)
        version = (int(found[1]), int(found[2])) if found else _LIKE_6_12
        profile = KERNELS["linux-6.12" if version >= _LIKE_6_12 else "linux-6.1"]
    return replace(profile, page_bytes=topology.page_size, huge_bytes=topology.huge_page_size)


def machine_like(original: Backend, topology: Topology, counters: NodeCounters, *, may_trace: bool) -> Machine:
    """A machine with the nodes of another; all that is used of them is nobody's.

    :param may_trace: the caller may clear the marks of NUMA balancing
    """
    has = original.capabilities
    machine = Machine(
        [_node(node, counters, topology.page_size) for node in topology.nodes],
        dict(topology.distances),
        kernel_like(has.kernel, topology),
        _caller(has, may_trace=may_trace),
        has.machine,
    )
    machine.vmstat = {**machine.vmstat, **counters.vmstat}
    machine.balancing = counters.switches.balancing or int(has.balancing)
    machine.demotion = bool(counters.switches.demotion)
    if isinstance(original, TellsHealth):
        health = original.health()
        machine.stalled, machine.vmstat["pswpout"] = health.stalled, health.swapped_out_pages
    return machine


def _caller(has: Capabilities, *, may_trace: bool) -> Caller:
    return Caller(has.user, has.move_shared, has.move_others, has.see_pfn, may_trace)


def _node(node: Node, counters: NodeCounters, page: int) -> SimNode:
    marks = counters.watermarks.get(node.id)
    free = counters.free_bytes.get(node.id, 0) // page
    return SimNode(
        node.id,
        node.cpus,
        node.total_bytes // page,
        free,
        0 if marks is None else marks.min_bytes // page,
        node.label,
        node.tier,
        cache_pages=min(_cache_pages(node.id, counters), max(0, node.total_bytes // page - free)),
        package=node.packages[0] if node.packages else None,
    )


def _cache_pages(node: int, counters: NodeCounters) -> int:
    """Page cache that nobody maps: what is reclaimed before an allocation fails; 0 where that is not told."""
    told = counters.node_vmstat.get(node, {})
    listed = told.get("nr_inactive_file", 0) + told.get("nr_active_file", 0)
    return max(0, listed - told.get("nr_mapped", 0))
