"""What was seen, frozen: the values that pass from the looking thread to the widgets."""

from __future__ import annotations

from dataclasses import dataclass

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.process import Region
from numamig.model.topology import NodeCounters, Topology
from numamig.model.workings import Workings
from numamig.observe.census import Census, Identity, ProcessSeen, Standing
from numamig.observe.pagemap import Grid, PageMap
from numamig.observe.placement import Placement

__all__ = ["Census", "Identity", "MapSeen", "NodesSeen", "Planned", "ProcessSeen", "RegionsSeen", "Standing", "Watch"]


@dataclass(frozen=True, slots=True)
class NodesSeen:
    """The machine."""

    topology: Topology
    counters: NodeCounters
    taken_s: float
    """Of the console's own clock, as in all snapshots."""
    workings: Workings | None = None
    """Of a machine that one can look inside."""


@dataclass(frozen=True, slots=True)
class RegionsSeen:
    """The address space of the process that is selected."""

    identity: Identity
    regions: tuple[Region, ...]
    placements: tuple[Placement, ...] | None
    """One for each region; None until they were looked at."""
    taken_s: float
    standing: Standing = Standing.HERE
    problem: str = ""
    """Why there is nothing to see, in one line."""


@dataclass(frozen=True, slots=True)
class MapSeen:
    """Pages in the buckets that were asked for, counted or estimated."""

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
