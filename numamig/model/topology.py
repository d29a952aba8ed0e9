"""The machine: its nodes, how far they are from each other, and their counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Health", "HugePool", "Node", "NodeCounters", "Performance", "Switches", "Topology", "Watermarks"]

_LOCAL = 10
_FARTHEST = 256
"""Source: ACPI, System Locality Information Table: 10 is local, 255 unreachable."""


@dataclass(frozen=True, slots=True)
class Performance:
    """How fast memory is from the nodes nearest to it: what the platform rates, nothing that was measured.

    Source: Documentation/admin-guide/mm/numaperf.rst. None where the platform does not tell.
    """

    initiators: tuple[int, ...]
    """Nodes that these numbers are for, ascending; from others they are worse."""
    read_latency_ns: int | None = None
    write_latency_ns: int | None = None
    read_bandwidth_mib: int | None = None
    """MiB per second."""
    write_bandwidth_mib: int | None = None


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
    """What kind of memory, where it is told: "CXL"; never inferred from distances or tiers."""
    packages: tuple[int, ...] = ()
    """Physical packages (sockets) of its CPUs, ascending. Two or more where the firmware hides the nodes inside the
    machine; none for a node without CPUs, or where packages are not known."""
    performance: Performance | None = None

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
    """Bytes of a transparent huge page (a PMD); 0 where there are none."""
    folio_sizes: tuple[int, ...] = ()
    """Bytes, ascending: sizes between the two that anonymous memory may come in as well (mTHP)."""
    _by_id: Mapping[int, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {node.id: node for node in self.nodes})

    @property
    def memory_nodes(self) -> tuple[int, ...]:
        """Ids of the nodes that have memory, ascending."""
        return tuple(node.id for node in self.nodes if node.has_memory)

    def node(self, node_id: int) -> Node | None:
        return self._by_id.get(node_id)

    def distance(self, from_node: int, to_node: int) -> int:
        """As the firmware says; where it leaves the pair out, farther than any that it tells."""
        if from_node == to_node:
            return self.distances.get((from_node, to_node), _LOCAL)
        return self.distances.get((from_node, to_node), _FARTHEST)


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Free memory of a node at which the kernel acts: sums of its zones, so a single zone may be short before."""

    min_bytes: int
    """Below, only the kernel's own emergencies allocate; others wait for memory to be reclaimed."""
    low_bytes: int
    """Below, reclaim (or demotion) begins in the background."""
    high_bytes: int
    """There it stops."""

    def crossed(self, free_bytes: int) -> str:
        """The lowest of them that ``free_bytes`` is below: ``"min"``, ``"low"`` or ``""``; above low all is well."""
        return "min" if free_bytes < self.min_bytes else "low" if free_bytes < self.low_bytes else ""


@dataclass(frozen=True, slots=True)
class HugePool:
    """hugetlb pages of one size on one node. Source: Documentation/admin-guide/mm/hugetlbpage.rst."""

    page_bytes: int
    total: int
    """Pages in the pool, used ones and surplus ones included."""
    free: int
    surplus: int
    """Pages beyond what was asked for, given back when they are freed."""


@dataclass(frozen=True, slots=True)
class Health:
    """How hard memory is to come by on the machine, at one moment of the backend's clock."""

    taken_ns: int
    stalled: float | None
    """Share of the last ten seconds, 0 to 1, in which all waited for memory (PSI, memory, full, avg10); None where
    the kernel does not tell. Source: Documentation/accounting/psi.rst."""
    swapped_out_pages: int
    """Base pages written to swap since the machine began: ``pswpout`` of /proc/vmstat."""


_BALANCING = {0: "off", 1: "locality", 2: "tiering", 3: "locality and tiering"}


@dataclass(frozen=True, slots=True)
class Switches:
    """What the kernel does with placement on its own account; None where it has no such switch."""

    balancing: int | None = None
    """NUMA balancing, kernel.numa_balancing: 0 off, 1 to the threads (locality), 2 to faster tiers, 3 both."""
    demotion: bool | None = None
    """Reclaim moves pages to slower tiers instead of dropping them."""
    numastat: bool | None = None
    """Allocations are counted, vm.numa_stat; where that is off, numa_hit and its kin stand still."""

    @property
    def balancing_words(self) -> str:
        """``"off"``, ``"locality"``, ``"tiering"``; ``""`` where there is none."""
        return "" if self.balancing is None else _BALANCING.get(self.balancing, f"mode {self.balancing}")


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """What the machine counts, at one moment of the backend's clock. What a kernel does not have is left out."""

    taken_ns: int
    free_bytes: Mapping[int, int]
    """By node."""
    vmstat: Mapping[str, int]
    """Machine-wide event counters that exist: ``pgmigrate_success``, ``pgmigrate_fail``, ``numa_pages_migrated`` …"""
    watermarks: Mapping[int, Watermarks] = field(default_factory=dict)
    """By node with memory."""
    huge_pools: Mapping[int, tuple[HugePool, ...]] = field(default_factory=dict)
    """By node with memory: a pool for each size, ascending; empty pools too."""
    numastat: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By node, names as in nodeN/numastat. Source: Documentation/admin-guide/numastat.rst."""
    node_vmstat: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By node, names as in nodeN/vmstat: the same allocations, what was promoted and demoted, and present amounts
    (``nr_…``); base pages."""
    switches: Switches = Switches()
