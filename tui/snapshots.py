"""What was seen, frozen: the values that pass from the looking thread to the widgets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.process import Process, Region
from numamig.model.topology import NodeCounters, Topology
from numamig.observe.pagemap import Grid, PageMap
from numamig.observe.placement import Placement

__all__ = ["Census", "Identity", "MapSeen", "NodesSeen", "Planned", "ProcessSeen", "RegionsSeen", "Standing", "Watch"]

Identity = tuple[int, int]
"""Pid and start time."""


class Standing(StrEnum):
    """How it stands with a process that is looked at."""

    HERE = "here"
    LOCKED = "locked"
    """The caller may not look."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class NodesSeen:
    """The machine."""

    topology: Topology
    counters: NodeCounters
    taken_s: float
    """Of the console's own clock, as in all snapshots."""


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A row of the process table."""

    process: Process
    home: tuple[int, ...]
    """Nodes that its threads ran on lately; empty where it runs everywhere, or that is not known."""
    runs_everywhere: bool
    placement: Placement | None
    """None until it was looked at."""
    standing: Standing = Standing.HERE

    @property
    def identity(self) -> Identity:
        return self.process.identity

    @property
    def remote_bytes(self) -> int | None:
        return None if self.placement is None else self.placement.remote_bytes(self.home)


@dataclass(frozen=True, slots=True)
class Census:
    """All processes, ascending by pid."""

    rows: tuple[ProcessSeen, ...]
    taken_s: float
    complete: bool
    """Every process has been looked at once."""

    def find(self, identity: Identity | None) -> ProcessSeen | None:
        return next((row for row in self.rows if row.identity == identity), None)


@dataclass(frozen=True, slots=True)
class RegionsSeen:
    """The address space of the process that is selected."""

    identity: Identity
    regions: tuple[Region, ...]
    placements: tuple[Placement, ...] | None
    """One for each region; None until they were counted."""
    taken_s: float
    standing: Standing = Standing.HERE
    problem: str = ""
    """Why there is nothing to see, in one line."""


@dataclass(frozen=True, slots=True)
class MapSeen:
    """Pages counted in the buckets that were asked for."""

    identity: Identity
    page_map: PageMap
    taken_s: float


@dataclass(frozen=True, slots=True)
class Planned:
    """Plans, or why there is none; in the order of the requests."""

    serial: int
    """Which question this answers."""
    results: tuple[Plan | NumamigError, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """What the operator looks at: replaced as a whole, never changed."""

    identity: Identity | None = None
    grid: Grid | None = None
    """Buckets of the page map that are in view."""
    overview: Grid | None = None
    """Coarse buckets of the whole process, when not all of it is in view."""
    version: int = 0
    """Counts the grids: a new one is looked at at once."""
    rows: tuple[Identity, ...] = ()
    """Processes in view: they are looked at first."""
    busy: bool = False
    """A job moves pages of the selected process just now."""
