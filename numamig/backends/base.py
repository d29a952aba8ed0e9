"""The seam: what a machine must answer, at the level of the system calls.

Everything that is hard about page migration is interpreted above this line, once, in ``numamig.migrate.mover``.
A backend only reports what its kernel answered, unwritten status cells included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from numamig.clock import Clock
from numamig.model.finding import Finding
from numamig.model.pageflags import PageFlags
from numamig.model.pages import PageRuns, Ranges
from numamig.model.process import Hazards, MemoryImage, Process, ProcessFacts, Region, RegionPolicy
from numamig.model.topology import Health, NodeCounters, Topology
from numamig.model.workings import Workings

__all__ = [
    "MPOL_MF_MOVE",
    "MPOL_MF_MOVE_ALL",
    "UNWRITTEN",
    "Backend",
    "Capabilities",
    "ClearsHints",
    "Diagnosing",
    "FolioCost",
    "Hold",
    "MovePagesCall",
    "MovePagesReturn",
    "Predicts",
    "TellsFree",
    "TellsHazards",
    "TellsHealth",
    "TellsHeat",
    "TellsHugeRoom",
    "TellsMemoryImage",
    "TellsPageFlags",
    "TellsPolicies",
    "TellsProcessFacts",
    "TellsSharing",
    "TellsWorkings",
]

MPOL_MF_MOVE = 1 << 1
"""Move only pages that no other process maps."""
MPOL_MF_MOVE_ALL = 1 << 2
"""Move shared pages too; needs CAP_SYS_NICE."""
UNWRITTEN = -(1 << 31)
"""What status cells hold before a call: no kernel writes it, so an unwritten cell is no node 0."""


class MovePagesReturn(NamedTuple):
    """What one move_pages(2) call answered, uninterpreted."""

    returned: int
    """0, a positive number that is *not* a count of pages left behind, or -1 (then ``errno`` says why)."""
    errno: int
    """0 unless ``returned`` is -1."""
    status: NDArray[np.int32]
    """Shape (pages,): a node, a negated errno, or ``UNWRITTEN``."""


class MovePagesCall(NamedTuple):
    """The arguments of one move_pages(2) call."""

    pid: int
    addresses: NDArray[np.uint64]
    nodes: NDArray[np.int32] | None
    flags: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this machine and these rights allow. Where something is missing, ``missing`` says why and what helps."""

    kernel: str
    """Release of the kernel, or the simulator's kernel profile: "6.1.0-56-amd64", "linux-6.1"."""
    machine: str
    """What to call the machine: a host name, or the title of a scenario."""
    user: str
    """Who acts."""
    simulated: bool = False
    virtual_time: bool = False
    lasting: bool = True
    """The machine, and what was moved on it, outlives this process."""
    move_others: bool = True
    """May move pages of other users' processes (CAP_SYS_PTRACE)."""
    move_shared: bool = True
    """May pass MPOL_MF_MOVE_ALL (CAP_SYS_NICE)."""
    see_pfn: bool = True
    """Page readers see physical placement without asking move_pages (CAP_SYS_ADMIN)."""
    huge_pages: bool = True
    """Has transparent huge pages."""
    heat: bool = False
    """Can tell which pages are in use (``TellsHeat``)."""
    scenario: str = ""
    """File that a simulated machine was made from; "" for none."""
    balancing: bool = False
    """NUMA balancing is on and may move pages back."""
    missing: dict[str, str] = field(default_factory=dict)
    """Ability → reason and remedy, for those that are False."""


class FolioCost(NamedTuple):
    """What moving calls on folios of one size cost: with n of them, ``call_ns + n · folio_ns``."""

    call_ns: float
    folio_ns: float
    together: int
    """Folios that are unmapped at the same time, at most: who touches one sleeps until all are mapped again."""


class Hold(Protocol):
    """Keeps hold of one process and of the memory that it has now, whatever its pid comes to mean later."""

    def check(self) -> None:
        """
        :raises TargetGone: it ended, or replaced its memory (exec).
        """
        ...

    def page_runs(self, ranges: Ranges) -> Iterator[PageRuns]:
        """As ``Backend.page_runs``, of the memory that is held: cheaper for those who look again and again.

        What was mapped within the last second may not be shown yet.

        :raises TargetGone: it ended, or replaced its memory.
        :raises RefusedError: the caller may not look.
        """
        ...

    def close(self) -> None:
        """Let go; a second time is no error."""
        ...


class Backend(Protocol):
    """A NUMA machine. Methods raise ``TargetGone`` and ``RefusedError``; ``move_pages`` just returns the answer."""

    @property
    def name(self) -> str:
        """As in ``--backend``."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def clock(self) -> Clock: ...

    def topology(self) -> Topology: ...

    def processes(self) -> Sequence[Process]:
        """All that can be seen, kernel threads left out, ascending by pid."""
        ...

    def process(self, pid: int) -> Process:
        """One process as it is now, kernel threads and zombies included.

        :raises TargetGone: there is none with that pid.
        """
        ...

    def hold(self, process: Process) -> Hold:
        """Hold on to a process that was seen.

        :raises TargetGone: it has ended, also where another has its pid now.
        """
        ...

    def regions(self, pid: int) -> Sequence[Region]:
        """The address space in ascending order.

        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look.
        """
        ...

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        """Present pages with their nodes, in chunks, ascending; looking must not disturb the process.

        A folio that straddles the start of a range is named by its true start, below the range.

        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look.
        """
        ...

    def move_pages(
        self, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
    ) -> MovePagesReturn:
        """move_pages(2), as it is: ``nodes=None`` only asks.

        :param addresses: shape (pages,)
        :param nodes: shape (pages,), the wanted node of each page
        """
        ...

    def move_pages_together(self, calls: Sequence[MovePagesCall]) -> list[MovePagesReturn]:
        """Several calls at the same time, each from a thread of its own; answers in the order of the calls."""
        ...

    def node_counters(self) -> NodeCounters: ...


@runtime_checkable
class Diagnosing(Protocol):
    """A backend that can say what works on its machine. Optional: ask with ``isinstance``."""

    def diagnose(self) -> list[Finding]:
        """Findings from probes, not from version numbers."""
        ...


@runtime_checkable
class ClearsHints(Protocol):
    """A backend that can take the marks of NUMA balancing off pages. Optional: ask with ``isinstance``."""

    def clear_hints(self, pid: int, addresses: NDArray[np.uint64]) -> bool:
        """Have the process fault each of these pages once, as if it had read them: then move_pages sees them again.

        Only ever for pages that a page reader has just shown present: an absent one would be made present. No page is
        moved by that.

        :param addresses: shape (pages,)
        :returns: False where that is not allowed, or could do harm, and nothing was touched
        :raises TargetGone: the process ended.
        """
        ...


@runtime_checkable
class TellsProcessFacts(Protocol):
    """A backend that knows more about a process than a list of all of them shows. Optional: ask with ``isinstance``."""

    def process_facts(self, pid: int) -> ProcessFacts:
        """
        :raises TargetGone: there is none with that pid.
        """
        ...


@runtime_checkable
class TellsHazards(Protocol):
    """A backend that knows why a process had better be left alone. Optional: ask with ``isinstance``."""

    def hazards(self, pid: int) -> Hazards:
        """What may not be looked at is taken for harmless.

        :raises TargetGone: there is none with that pid.
        """
        ...


@runtime_checkable
class TellsHealth(Protocol):
    """A backend that knows how its machine is doing. Optional: ask with ``isinstance``."""

    def health(self) -> Health: ...


@runtime_checkable
class TellsHeat(Protocol):
    """A backend that can tell which pages are in use, where ``Capabilities.heat`` says so. Optional."""

    def heat(self, pid: int, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> NDArray[np.float32]:
        """In what share of recent samples the pages of each range were touched: from 0, in none, to 1, in all.

        NaN where that is not known. A huge page is touched as a whole. Takes half a second or so, and ten at most:
        pages are watched for a while, however many they are. Of large ranges some pages are watched, and of many ranges
        neighbours share what was seen of one. The process is not stopped, and no page is made present.

        :param start: shape (ranges,), ascending; the ranges do not overlap
        :param end: shape (ranges,), exclusive
        :returns: shape (ranges,), the mean of present pages as far as absent ones can be told from those not in use
        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look, or somebody else uses what the kernel has for that.
        """
        ...


@runtime_checkable
class TellsMemoryImage(Protocol):
    """A backend that can tell the memory of a process from that of another, also later. Optional."""

    @property
    def boot_id(self) -> str:
        """Of the machine, as in each image: another after every boot."""
        ...

    def memory_image(self, pid: int) -> MemoryImage:
        """
        :raises TargetGone: there is none with that pid.
        """
        ...


@runtime_checkable
class TellsSharing(Protocol):
    """A backend that knows whether a page is mapped by one process only. Optional: ask with ``isinstance``."""

    def shared_pages(self, pid: int, addresses: NDArray[np.uint64]) -> NDArray[np.int8]:
        """1 where others map the page too, 0 where not, -1 where there is none.

        :param addresses: shape (pages,), as the answer
        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look.
        """
        ...


@runtime_checkable
class TellsPageFlags(Protocol):
    """A backend that can tell more of single pages than where they are. Optional: ask with ``isinstance``."""

    def page_flags(self, pid: int, addresses: NDArray[np.uint64]) -> PageFlags:
        """As far as the machine, and these rights, allow; what they do not is not among the known ones.

        :param addresses: shape (pages,), ascending, as the answer
        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look.
        """
        ...


@runtime_checkable
class TellsFree(Protocol):
    """A backend that can tell the free memory of one node for less than all counters of all nodes. Optional."""

    def free_bytes(self, node: int) -> int:
        """As in ``node_counters``; 0 where there is no such node."""
        ...


@runtime_checkable
class TellsHugeRoom(Protocol):
    """A backend that knows how broken up free memory is. Optional: ask with ``isinstance``."""

    def huge_room(self, node: int) -> int:
        """How many transparent huge pages could be had on a node as its free memory is, nothing being compacted."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """A machine that knows how long it takes to move, as only a simulated one can. Optional."""

    def folio_cost(self, pid: int, folio_bytes: int) -> FolioCost | None:
        """None where its kernel moves pages in no such simple way.

        :raises TargetGone: there is none with that pid.
        """
        ...


@runtime_checkable
class TellsPolicies(Protocol):
    """A backend that knows the NUMA policies of regions. Optional: ask with ``isinstance``."""

    def policies(self, pid: int) -> Sequence[RegionPolicy]:
        """One for each region, ascending. On a real kernel this walks all page tables: on request, never on a timer.

        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look.
        """
        ...


@runtime_checkable
class TellsWorkings(Protocol):
    """A machine that one can look inside, as only a simulated one can be. Optional: ask with ``isinstance``."""

    def workings(self) -> Workings:
        """Where moving time goes, who holds locks, and how workloads fare; now, and without disturbing anything."""
        ...
