"""What the operator has chosen: marks by identity and address, and what they come to as targets of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from numamig.migrate.ranges import joined, overlap
from numamig.migrate.request import Mapped
from numamig.model.nodeset import format_nodeset
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Region, RegionKind
from numamig.model.topology import Topology
from tui.plans.addresses import Addresses, covers, ranges_of, size_of, without
from tui.threads.snapshots import Identity, ProcessSeen
from tui.words.present import size_text

__all__ = ["Marks", "Only", "Target", "amount", "preset_node"]


_SHORT = {RegionKind.SHMEM: "shm"}
"""As the map calls it."""


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
            said.append(" or ".join(sorted(_SHORT.get(kind, kind.value) for kind in self.kinds)))
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
        return _all(self.regions, self.ranges) if self.regions or self.ranges else None

    @property
    def words(self) -> str:
        """``2 ranges of 24.0M, on node 0, anon``."""
        return ", ".join((amount(self.regions, self.ranges, of=" of ") or "all regions", *self.only.words))


def amount(regions: Sequence[Region], ranges: Addresses, *, of: str = " ") -> str:
    """``2 ranges 24.0M``; "" of nothing."""
    counts = (len(regions), "region"), (len(ranges), "range")
    parts = [f"{count} {what}{'s' * (count > 1)}" for count, what in counts if count]
    return f"{' + '.join(parts)}{of}{size_text(size_of(_all(regions, ranges)))}" if parts else ""


def _all(regions: Iterable[Region], ranges: Addresses) -> Addresses:
    return tuple(joined(ranges_of(regions), ranges))


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
    """Marked processes, regions and addresses. Mutable: the main screen owns it, widgets read it."""

    processes: set[Identity] = field(default_factory=set)
    regions: dict[Identity, set[int]] = field(default_factory=dict)
    """Start addresses, by process: a marked region is marked however it grows."""
    ranges: dict[Identity, Addresses] = field(default_factory=dict)
    """By process: what is marked besides its regions."""
    only: dict[Identity, Only] = field(default_factory=dict)
    """The class of pages that is looked for, by process: of what is marked, only these are meant."""

    def of(self, identity: Identity | None) -> set[int]:
        return self.regions.get(identity, set()) if identity is not None else set()

    def ranges_in(self, identity: Identity | None) -> Addresses:
        return self.ranges.get(identity, ()) if identity is not None else ()

    def only_of(self, identity: Identity | None) -> Only:
        return self.only.get(identity, Only()) if identity is not None else Only()

    def addresses(self, identity: Identity | None, regions: Iterable[Region]) -> Addresses:
        """All that is marked of a process.

        :param regions: that it has
        """
        marked = self.of(identity)
        return _all((region for region in regions if region.start in marked), self.ranges_in(identity))

    def toggle_process(self, identity: Identity) -> None:
        self.processes ^= {identity}

    def toggle_region(self, identity: Identity, start: int) -> None:
        self.regions[identity] = self.of(identity) ^ {start}

    def mark(self, identity: Identity, part: Addresses) -> None:
        self.ranges[identity] = tuple(joined(self.ranges_in(identity), part))

    def toggle(self, identity: Identity, part: Addresses, regions: Sequence[Region]) -> None:
        """Mark some addresses, or take them out where all of them are marked."""
        if not covers(self.addresses(identity, regions), part):
            self.mark(identity, part)
            return
        marked = [region for region in regions if region.start in self.of(identity)]
        cut = {region.start for region in marked if overlap(ranges_of([region]), part)}
        self.mark(identity, ranges_of(region for region in regions if region.start in cut))
        self.regions[identity] = self.of(identity) - cut
        self.ranges[identity] = without(self.ranges_in(identity), part)

    def clear_ranges(self, identity: Identity | None) -> bool:
        """Of this process only its regions stay marked; whether there was more."""
        return identity is not None and bool(self.ranges.pop(identity, None))

    def keep_only(self, identity: Identity, only: Only) -> None:
        """This class of pages stands out, and is meant; ``Only()`` for none."""
        if only == Only():
            self.only.pop(identity, None)
        else:
            self.only[identity] = only

    def clear_only(self, identity: Identity | None) -> bool:
        """Every page is meant again; whether that is new."""
        return identity is not None and self.only.pop(identity, None) is not None

    def toggle_all_processes(self, shown: Sequence[Identity]) -> None:
        self.processes = self.processes - set(shown) if set(shown) <= self.processes else self.processes | set(shown)

    def toggle_all_regions(self, identity: Identity, shown: Sequence[int]) -> None:
        marked = self.of(identity)
        self.regions[identity] = marked - set(shown) if set(shown) <= marked else marked | set(shown)

    def forget(self, here: set[Identity]) -> None:
        """Marks of processes that are not there any more go too."""
        self.processes &= here
        self.regions = {identity: starts for identity, starts in self.regions.items() if identity in here and starts}
        self.ranges = {identity: ranges for identity, ranges in self.ranges.items() if identity in here and ranges}
        self.only = {identity: only for identity, only in self.only.items() if identity in here}
