"""The simulated machine's state: nodes, processes, and page tables as numpy arrays."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.costs import CostModel
from numamig.backends.simulator.kernels import KERNELS, KernelProfile
from numamig.clock import VirtualClock
from numamig.errors import TargetGone
from numamig.model.process import RegionKind

__all__ = ["ABSENT", "HUGE_PAGES", "PAGE", "Backing", "Caller", "Flag", "Machine", "SimNode", "SimProcess", "SimRegion"]

PAGE = 4096
HUGE_PAGES = 512
"""Base pages in a transparent huge page."""
ABSENT = 255
"""In node arrays: no page is present."""


class Flag(IntFlag):
    """State of a base page; one byte each."""

    SWAPPED = 1
    """Not present, but was."""
    HUGE = 2
    """Part of a 2 MiB folio, which starts where the address is a multiple of 2 MiB."""
    PINNED = 4
    """Somebody holds a reference: it is isolated, but does not migrate."""
    ISOLATED = 8
    """Not on the LRU: cannot be isolated."""
    HINTED = 16
    """Marked PROT_NONE by NUMA balancing."""
    ZERO = 32
    """The zero page: present for the hardware, nobody's memory."""


@dataclass(slots=True)
class SimNode:
    """A node and its free memory."""

    id: int
    cpus: tuple[int, ...]
    total_pages: int
    free_pages: int
    reserve_pages: int = 0
    """Below this many free pages, nothing is allocated for migration."""
    label: str = ""
    tier: int | None = None


@dataclass(slots=True)
class Backing:
    """Memory that one or several processes map; arrays of shape (pages,)."""

    node: NDArray[np.uint8]
    """Node id, or ``ABSENT``."""
    flags: NDArray[np.uint8]
    """``Flag`` bits."""
    sharers: NDArray[np.uint8]
    """How many page tables map the page."""
    resident_pages: int = 0
    """Present pages, the zero page left out."""

    @classmethod
    def untouched(cls, pages: int) -> Backing:
        return cls(np.full(pages, ABSENT, np.uint8), np.zeros(pages, np.uint8), np.ones(pages, np.uint8))


@dataclass(slots=True)
class SimRegion:
    """A VMA over a part of a backing."""

    start: int
    backing: Backing
    kind: RegionKind = RegionKind.ANON
    permissions: str = "rw-p"
    path: str = ""
    page_size: int = PAGE

    @property
    def pages(self) -> int:
        return len(self.backing.node)

    @property
    def end(self) -> int:
        return self.start + self.pages * PAGE


@dataclass(slots=True)
class SimProcess:
    """A process with its address space, ascending and without overlaps."""

    pid: int
    name: str
    user: str = "root"
    cmdline: tuple[str, ...] = ()
    start_time: int = 1000
    threads: int = 1
    cpu_nodes: tuple[int, ...] = ()
    regions: list[SimRegion] = field(default_factory=list)
    kernel_thread: bool = False
    zombie: bool = False
    mems_allowed: frozenset[int] | None = None
    """Its cpuset; None allows every node."""

    def region_at(self, address: int) -> SimRegion | None:
        """The region that an address lies in."""
        number = bisect.bisect_right(self.regions, address, key=lambda region: region.start) - 1
        return self.regions[number] if number >= 0 and address < self.regions[number].end else None

    @property
    def resident_pages(self) -> int:
        return sum(region.backing.resident_pages for region in self.regions)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts on the machine, and with which capabilities."""

    user: str = "root"
    sys_nice: bool = True
    sys_ptrace: bool = True
    sys_admin: bool = True
    trace: bool = True
    """May trace what it may look at (PTRACE_MODE_ATTACH); Yama often forbids it."""


class Machine:
    """Nodes, processes, kernel and clock. Calls hold ``lock``, so any thread may act on it."""

    def __init__(
        self,
        nodes: Sequence[SimNode],
        distances: dict[tuple[int, int], int] | None = None,
        kernel: KernelProfile = KERNELS["linux-6.12"],
        caller: Caller = Caller(),
        title: str = "simulated",
        costs: CostModel = CostModel(),
    ) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.distances = distances or {(a, b): 10 if a == b else 20 for a in self.nodes for b in self.nodes}
        self.kernel = kernel
        self.caller = caller
        self.title = title
        self.costs = costs
        self.clock = VirtualClock()
        self.processes: dict[int, SimProcess] = {}
        self.vmstat = {"pgmigrate_success": 0, "pgmigrate_fail": 0, "numa_pages_migrated": 0}
        self.lock = threading.RLock()

    def add(self, process: SimProcess) -> SimProcess:
        """Start a process. A backing that it shares with others counts one sharer more."""
        with self.lock:
            mapped = {id(region.backing) for p in self.processes.values() for region in p.regions}
            for region in process.regions:
                if id(region.backing) in mapped:
                    region.backing.sharers += 1
            process.regions.sort(key=lambda region: region.start)
            self.processes[process.pid] = process
        return process

    def place(self, backing: Backing, first: int, node: NDArray[np.uint8], flags: int = 0) -> None:
        """Make pages present: ``node`` from page ``first`` on, taking free memory (ABSENT leaves untouched)."""
        with self.lock:
            part = slice(first, first + len(node))
            backing.node[part] = node
            backing.flags[part] |= np.uint8(flags)
            if not flags & Flag.ZERO:
                self.take(np.bincount(node, minlength=256))
                backing.resident_pages += int((node != ABSENT).sum())

    def take(self, pages_by_node: NDArray[np.intp]) -> None:
        """Less free memory on each node."""
        for node in self.nodes.values():
            node.free_pages -= int(pages_by_node[node.id])

    def end(self, pid: int) -> None:
        """A process ends; memory that nobody else maps is freed."""
        with self.lock:
            process = self.processes.pop(pid)
            others = {id(region.backing) for p in self.processes.values() for region in p.regions}
            for region in process.regions:
                if id(region.backing) in others:
                    region.backing.sharers -= 1
                else:
                    real = (region.backing.flags & Flag.ZERO) == 0
                    self.take(-np.bincount(region.backing.node[real], minlength=256))

    def process(self, pid: int) -> SimProcess:
        """
        :raises TargetGone: there is none with that pid.
        """
        process = self.processes.get(pid)
        if process is None:
            raise TargetGone(f"no process with pid {pid}", pid=pid)
        return process

    def may_look_at(self, process: SimProcess) -> bool:
        """PTRACE_MODE_READ_REALCREDS."""
        return self.caller.sys_ptrace or process.user == self.caller.user
