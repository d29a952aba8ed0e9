"""Simulated processes: what they map and where, who they are, and what the caller may do to them."""

from __future__ import annotations

import bisect
import operator
from dataclasses import dataclass, field

import numpy as np

from numamig.backends.simulator.memory import ABSENT, PAGE, Backing, Flag
from numamig.model.process import RegionKind

__all__ = ["Caller", "SimProcess", "SimRegion"]


@dataclass(slots=True)
class SimRegion:
    """A VMA over a backing, or over a part of it."""

    start: int
    backing: Backing
    kind: RegionKind = RegionKind.ANON
    permissions: str = "rw-p"
    path: str = ""
    page_size: int = PAGE
    """Of the mapping: that of its pool for hugetlb."""
    first: int = 0
    """Page of the backing that it begins with."""
    length: int | None = None
    """Pages; None: up to the end of the backing."""
    policy: str = "default"
    """NUMA policy, as numa_maps writes it."""

    @property
    def pages(self) -> int:
        return len(self.backing.node) - self.first if self.length is None else self.length

    @property
    def resident_pages(self) -> int:
        """Present pages, the zero page left out."""
        backing = self.backing
        if self.pages == len(backing.node):
            return backing.resident_pages
        here = slice(self.first, self.first + self.pages)
        return int(((backing.node[here] != ABSENT) & (backing.flags[here] & np.uint8(Flag.ZERO) == 0)).sum())

    @property
    def has_no_pages(self) -> bool:
        """VM_PFNMAP: vvar, vsyscall, device memory. A vdso has pages, which are nobody's to move."""
        return self.kind is RegionKind.SPECIAL and self.path != "[vdso]"

    @property
    def end(self) -> int:
        return self.start + self.pages * self.backing.page_bytes


_START = operator.attrgetter("start")


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
    capable: bool = False
    """Has CAP_SYS_PTRACE: who does not may not look at it, be it the same user."""
    mems_allowed: frozenset[int] | None = None
    """Its cpuset; None allows every node."""

    def region_at(self, address: int) -> SimRegion | None:
        """The region that an address lies in."""
        number = bisect.bisect_right(self.regions, address, key=_START) - 1
        return self.regions[number] if number >= 0 and address < self.regions[number].end else None

    @property
    def backings(self) -> list[Backing]:
        """Each once, also where several regions lie over it."""
        return list({id(region.backing): region.backing for region in self.regions}.values())

    @property
    def resident_pages(self) -> int:
        return sum(region.resident_pages for region in self.regions)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts on the machine, and with which capabilities."""

    user: str = "root"
    sys_nice: bool = True
    sys_ptrace: bool = True
    sys_admin: bool = True
    trace: bool = True
    """May trace what it may look at (PTRACE_MODE_ATTACH); Yama often forbids it."""
