"""What the operator has chosen: marks by identity and address, and what they come to as targets of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Region
from numamig.model.topology import Topology
from tui.snapshots import Identity, ProcessSeen

__all__ = ["Marks", "Target", "preset_node", "ranges_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a plan is for: a process, or some of its regions."""

    seen: ProcessSeen
    regions: tuple[Region, ...] = ()
    """Empty: all of it."""

    @property
    def within(self) -> tuple[tuple[int, int], ...] | None:
        return ranges_of(self.regions) if self.regions else None


def ranges_of(regions: Iterable[Region]) -> tuple[tuple[int, int], ...]:
    """Their addresses, ascending, joined where they touch."""
    ranges: list[tuple[int, int]] = []
    for region in sorted(regions, key=lambda r: r.start):
        if ranges and ranges[-1][1] >= region.start:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], region.end))
        else:
            ranges.append((region.start, region.end))
    return tuple(ranges)


def preset_node(seen: ProcessSeen, topology: Topology) -> int | None:
    """Where its pages most likely belong: at home, else on the first memory node that does not hold most of them."""
    memory = topology.memory_nodes
    parts = (
        {} if seen.placement is None else {n: b for n, b in seen.placement.bytes_by_node.items() if n != UNKNOWN_NODE}
    )
    at_home = [node for node in seen.home if node in memory]
    if at_home:
        return max(at_home, key=lambda node: (parts.get(node, 0), -node))
    most = max(parts, key=lambda node: parts[node], default=None)
    return next((node for node in memory if node != most), memory[0] if memory else None)


@dataclass(slots=True)
class Marks:
    """Marked processes and regions. Mutable: the main screen owns it, widgets read it."""

    processes: set[Identity] = field(default_factory=set)
    regions: dict[Identity, set[int]] = field(default_factory=dict)
    """Start addresses, by process."""

    def of(self, identity: Identity | None) -> set[int]:
        return self.regions.get(identity, set()) if identity is not None else set()

    def toggle_process(self, identity: Identity) -> None:
        self.processes ^= {identity}

    def toggle_region(self, identity: Identity, start: int) -> None:
        self.regions[identity] = self.of(identity) ^ {start}

    def toggle_all_processes(self, shown: Sequence[Identity]) -> None:
        self.processes = self.processes - set(shown) if set(shown) <= self.processes else self.processes | set(shown)

    def toggle_all_regions(self, identity: Identity, shown: Sequence[int]) -> None:
        marked = self.of(identity)
        self.regions[identity] = marked - set(shown) if set(shown) <= marked else marked | set(shown)

    def forget(self, here: set[Identity]) -> None:
        """Marks of processes that are not there any more go too."""
        self.processes &= here
        self.regions = {identity: starts for identity, starts in self.regions.items() if identity in here and starts}
