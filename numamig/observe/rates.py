"""How fast the kernel's counters of placement grow, from two readings of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numamig.model.topology import NodeCounters

__all__ = ["Rates", "rates_between"]

_COUNTED = ("numa_", "pgmigrate_", "pgpromote_", "pgdemote_", "thp_migration_")
"""How names of /proc/vmstat begin that tell of placement and only ever grow; others are amounts, or of no interest."""
_AS_IN_VMSTAT = {"interleave_hit": "numa_interleave", "local_node": "numa_local", "other_node": "numa_other"}
"""Name in nodeN/numastat → name of the same counter in /proc/vmstat."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second of the backend's clock, by the names of /proc/vmstat.

    Base pages for ``pgmigrate_…``, ``pgpromote_…``, ``pgdemote_…`` and ``numa_pages_migrated``; page table entries
    for ``numa_pte_updates``; huge pages for ``thp_migration_…``; for the others allocations or faults. What cannot be
    told is missing: 0.0 means that nothing happened.
    """

    seconds: float = 0.0
    """Between the two readings; 0.0 where no time had passed, and then there is nothing else either."""
    by_node: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    machine: Mapping[str, float] = field(default_factory=dict)


def rates_between(before: NodeCounters, after: NodeCounters) -> Rates:
    """What was counted between two readings of one machine.

    A counter that has gone, that is new, or that has fallen (a node was unplugged and came back) has no rate.
    """
    seconds = (after.taken_ns - before.taken_ns) / 1e9
    if seconds <= 0:
        return Rates()
    earlier, later = _by_node(before), _by_node(after)
    by_node = {node: _grown(earlier[node], counts, seconds) for node, counts in later.items() if node in earlier}
    return Rates(seconds, by_node, _grown(before.vmstat, after.vmstat, seconds))


def _by_node(counters: NodeCounters) -> dict[int, dict[str, int]]:
    """All counters of each node under one kind of name: numastat's are in vmstat too, on most kernels."""
    merged: dict[int, dict[str, int]] = {}
    for node, counts in counters.numastat.items():
        merged[node] = {_AS_IN_VMSTAT.get(name, name): count for name, count in counts.items()}
    for node, counts in counters.node_vmstat.items():
        merged.setdefault(node, {}).update(counts)
    return merged


def _grown(before: Mapping[str, int], after: Mapping[str, int], seconds: float) -> dict[str, float]:
    return {
        name: (count - before[name]) / seconds
        for name, count in after.items()
        if name.startswith(_COUNTED) and before.get(name, count + 1) <= count
    }
