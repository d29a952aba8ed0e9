"""What the operator has chosen: marks by identity and address, and what they come to as targets of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from numamig.migrate.ranges import joined
from numamig.migrate.request import Mapped
from numamig.model.nodeset import format_nodeset
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Region, RegionKind
from numamig.model.topology import Topology
from tui.present import size_text
from tui.snapshots import Identity, ProcessSeen

__all__ = ["Addresses", "Marks", "Only", "Target", "preset_node", "ranges_of"]

Addresses = tuple[tuple[int, int], ...]
"""Ranges [start, end), ascending, that neither overlap nor touch."""


@dataclass(frozen=True, slots=True)
class Only:
    """A class of pages; nothing said means every page."""

    sources: tuple[int, ...] | None = None
    """Nodes that they are on, ascending."""
    kinds: frozenset[RegionKind] = frozenset()
    """Of their regions; empty means any."""
    huge: bool | None = None
    mapped: Mapped = Mapped.ANY
    paths: tuple[str, ...] = ()
    """Patterns (``fnmatch``) of what their regions are backed by."""

    @property
    def words(self) -> tuple[str, ...]:
        """``on node 0``, ``anon``: what to call it, each a condition. Paths are as they were typed."""
        said = []
        if self.sources is not None:
            said.append(f"on node {format_nodeset(self.sources)}")
        if self.kinds:
            said.append(" or ".join(sorted(kind.value for kind in self.kinds)))
        if self.huge is not None:
            said.append("huge" if self.huge else "base")
        if self.mapped is not Mapped.ANY:
            said.append(self.mapped.value)
        return (*said, *self.paths)


@dataclass(frozen=True, slots=True)
class Target:
    """What a plan is for: a process, or some of its regions and addresses, or only some class of its pages."""

    seen: ProcessSeen
    regions: tuple[Region, ...] = ()
    """With ``ranges`` empty too: all of it."""
    ranges: Addresses = ()
    """Besides the regions; within regions of the process."""
    only: Only = Only()

    @property
    def within(self) -> Addresses | None:
        return tuple(joined(ranges_of(self.regions), self.ranges)) if self.regions or self.ranges else None

    @property
    def words(self) -> str:
        """``2 ranges of 24.0M, on node 0, anon``."""
        parts = [f"{n} {what}{'s' * (n > 1)}" for n, what in self._counts if n]
        size = sum(end - start for start, end in self.within or ())
        where = f"{' + '.join(parts)} of {size_text(size)}" if self.ranges else parts[0] if parts else "all regions"
        return ", ".join((where, *self.only.words))

    @property
    def _counts(self) -> tuple[tuple[int, str], ...]:
        return (len(self.regions), "region"), (len(self.ranges), "range")


def ranges_of(regions: Iterable[Region]) -> Addresses:
    """Their addresses, joined where they touch."""
    return tuple(joined((region.start, region.end) for region in regions))


def preset_node(seen: ProcessSeen, topology: Topology, sources: Sequence[int] = ()) -> int | None:
    """Where its pages most likely belong: at home, else on the first memory node that does not hold most of them.

    :param sources: nodes that they are to leave: never the answer, where there is another
    """
    memory = tuple(node for node in topology.memory_nodes if node not in sources) or topology.memory_nodes
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
