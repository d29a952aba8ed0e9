"""What the simulated platform and kernel tell of a node besides its size: how fast it is, and its huge pages."""

from __future__ import annotations

from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import SimNode
from numamig.model.topology import HugePool, Performance

__all__ = ["huge_pools", "rated"]

_NS_PER_S = 1_000_000_000


def rated(machine: Machine, node: SimNode) -> Performance | None:
    """Latency and bandwidth from the nearest CPUs, as far as the scenario gives them; None where it does not."""
    access = machine.access
    sources = {n.id: access.latency_ns(n.id, node.id) for n in machine.nodes.values() if n.cpus}
    bandwidth = access.bandwidths.get(node.id)
    if not node.total_pages or not sources or (bandwidth is None and not access.latencies):
        return None
    nearest = min(sources.values())
    latency = round(nearest) if access.latencies else None
    mib = None if bandwidth is None else round(bandwidth * _NS_PER_S) >> 20
    initiators = tuple(sorted(source for source, ns in sources.items() if ns == nearest))
    return Performance(initiators, latency, latency, mib, mib)


def huge_pools(machine: Machine) -> dict[int, tuple[HugePool, ...]]:
    """By node with memory; none where no node has a pool."""
    nodes = [node for node in machine.nodes.values() if node.total_pages]
    if not any(node.pool_total for node in nodes):
        return {}
    size = machine.kernel.huge_bytes
    return {node.id: (HugePool(size, node.pool_total, node.pool_free, 0),) for node in nodes}
