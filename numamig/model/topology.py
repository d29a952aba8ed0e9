"""The machine: its nodes, how far they are from each other, and their counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Node", "NodeCounters", "Topology"]


@dataclass(frozen=True, slots=True)
class Node:
    """One NUMA node. Ids may have holes; a node may have CPUs, memory, or both."""

    id: int
    cpus: tuple[int, ...]
    total_bytes: int
    """0 for a node without memory."""
    free_bytes: int
    """When the topology was read; ``NodeCounters`` has the present value."""
    tier: int | None = None
    """Memory tier of the kernel (smaller is faster), where it has tiers."""
    label: str = ""
    """What kind of memory, where it is known: "DRAM", "CXL"."""

    @property
    def has_memory(self) -> bool:
        return self.total_bytes > 0


@dataclass(frozen=True, slots=True)
class Topology:
    """All online nodes in order of their ids."""

    nodes: tuple[Node, ...]
    distances: Mapping[tuple[int, int], int]
    """(from, to) → SLIT distance; 10 is local. May be asymmetric; pairs that the firmware leaves out are missing."""
    page_size: int = 4096
    """Bytes of a base page."""
    huge_page_size: int = 2 << 20
    """Bytes of a transparent huge page (a PMD)."""
    _by_id: Mapping[int, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {node.id: node for node in self.nodes})

    @property
    def memory_nodes(self) -> tuple[int, ...]:
        """Ids of the nodes that have memory, ascending."""
        return tuple(node.id for node in self.nodes if node.has_memory)

    def node(self, node_id: int) -> Node | None:
        return self._by_id.get(node_id)


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """What the machine counts, at one moment of the backend's clock."""

    taken_ns: int
    free_bytes: Mapping[int, int]
    """By node."""
    vmstat: Mapping[str, int]
    """Machine-wide event counters that exist: ``pgmigrate_success``, ``pgmigrate_fail``, ``numa_pages_migrated`` …"""
