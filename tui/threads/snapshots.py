"""What was seen, frozen: the values that pass from the looking thread to the widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.migrate.stayed import StayedSeen
from numamig.model.process import Region
from numamig.model.topology import NodeCounters, Topology
from numamig.model.workings import Workings
from numamig.observe.bucketheat import BucketHeat
from numamig.observe.census import Census, Identity, ProcessSeen, Standing
from numamig.observe.flagshares import FlagShares
from numamig.observe.pagemap import Grid, PageMap
from numamig.observe.placement import Placement
from tui.threads.lenses import Lens

__all__ = [
    "Census",
    "FlagsSeen",
    "HeatSeen",
    "Identity",
    "MapSeen",
    "NodesSeen",
    "Pace",
    "Planned",
    "ProcessSeen",
    "RegionsSeen",
    "Standing",
    "Steps",
    "Trouble",
    "Watch",
]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a look did not come to an end; what was seen before it stays."""

    kind: str
    """What was looked at: ``nodes``, ``processes`` …"""
    cause: str
    remedy: str

    @property
    def words(self) -> str:
        return f"{self.kind}: {self.cause} ({self.remedy})"


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
class FlagsSeen:
    """What the pages in view are, and what jobs left behind."""

    identity: Identity
    shares: FlagShares | None
    """None where nothing of the kind can be told."""
    stayed: StayedSeen | None
    taken_s: float
    problem: str = ""
    """Why something cannot be told, and what would help."""


@dataclass(frozen=True, slots=True)
class HeatSeen:
    """How hot the pages in view are."""

    identity: Identity
    heat: BucketHeat | None
    taken_s: float
    problem: str = ""


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
    lens: Lens = Lens.HOME
    """What is looked at besides where pages are."""
    rows: tuple[Identity, ...] = ()
    """Processes in view: they are looked at first."""
    busy: bool = False
    """A job moves pages of the selected process just now."""

    @property
    def looks_at(self) -> tuple[Identity | None, int, Lens]:
        """Something new is looked at at once."""
        return self.identity, self.version, self.lens


class Pace(NamedTuple):
    """How gently a job is asked to go."""

    budget_ns: int | None
    """Wanted duration of a call; None: none is wanted."""
    rate: int | None
    """Bytes per second, at most."""


@dataclass(frozen=True, slots=True)
class Steps:
    """How it stands with the steps of jobs that are in progress."""

    in_step_s: Mapping[int, float] = field(default_factory=dict)
    """Job → for how long its step has taken."""
    in_kernel_s: Mapping[int, float] = field(default_factory=dict)
    """Job → for how long the kernel has owed an answer."""
    at_hand: frozenset[int] = frozenset()
    """Jobs that are being stepped, or wait between two steps as they were asked to."""
    cancelling: frozenset[int] = frozenset()
    """Jobs that end after the step they are in."""
    hanging: int | None = None
    """The job whose call does not return; nothing new is begun until then."""
    paces: Mapping[int, Pace] = field(default_factory=dict)
    """Of jobs whose pace was changed since they were asked for."""
    priorities: Mapping[int, int] = field(default_factory=dict)
    """Of jobs that were given one; others have 0."""

    def pace(self, job: JobSnapshot) -> Pace:
        return self.paces.get(job.number) or Pace(job.request.budget_ns, job.request.rate)
