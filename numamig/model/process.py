"""A process, and the regions of its address space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Process", "ProcessFacts", "Region", "RegionKind", "RegionPolicy"]


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was seen; a pid means one process only together with its start time."""

    pid: int
    start_time: int
    """Clock ticks after boot (field 22 of /proc/PID/stat)."""
    name: str
    """comm. Hostile text: a process chooses it."""
    user: str
    cmdline: tuple[str, ...] = ()
    resident_bytes: int = 0
    threads: int = 1
    cpu_nodes: tuple[int, ...] = ()
    """Nodes its threads last ran on, ascending; empty where not known."""
    kernel_thread: bool = False
    zombie: bool = False
    yours: bool = True
    """Belongs to the user who looks."""

    @property
    def identity(self) -> tuple[int, int]:
        """What tells this process from a later one with the same pid."""
        return self.pid, self.start_time


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What there is to know about one process before its pages are moved."""

    process: Process
    threads_by_node: Mapping[int, int]
    """Node → how many threads last ran there."""
    mems_allowed: tuple[int, ...] | None
    """Nodes that its cpuset allows, ascending; None where there is no such limit, or it is not known."""
    cgroup: str
    """Path of its control group, "/" for the root; "" where not known. Hostile text."""
    may_look: bool
    """The caller may see where its pages are."""
    may_move: bool
    """The caller may move the pages that only this process maps."""
    may_move_shared: bool
    """And those that others map too."""
    obstacle: str = ""
    """Why not, and what helps, in one sentence; "" where everything is allowed."""


@dataclass(frozen=True, slots=True)
class RegionPolicy:
    """The NUMA policy of one region."""

    start: int
    """First address of the region."""
    policy: str
    """As numa_maps writes it: "default", "bind:0-1", "interleave:0,2", "prefer:1", "local" …"""


class RegionKind(StrEnum):
    """What a region holds, in the words that ``--kind`` takes."""

    ANON = "anon"
    HEAP = "heap"
    STACK = "stack"
    FILE = "file"
    SHMEM = "shmem"
    HUGETLB = "hugetlb"
    SPECIAL = "special"
    """vdso, vvar, vsyscall, device memory: never moved."""


@dataclass(frozen=True, slots=True)
class Region:
    """A VMA: a range of addresses with one backing and one set of rights."""

    start: int
    end: int
    """Exclusive."""
    kind: RegionKind
    permissions: str
    """As in /proc/PID/maps: "rw-p"."""
    path: str = ""
    """Name of the backing, "" for plain anonymous memory. Hostile text."""
    page_size: int = 4096
    """Bytes of the smallest page that can be here: more than a base page only for hugetlb."""

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    @property
    def label(self) -> str:
        """A few words for a table."""
        return self.path or self.kind.value

    def matches(self, kinds: frozenset[RegionKind]) -> bool:
        """Whether ``kinds`` (empty: any) means this region; heap and stack are anonymous memory too."""
        if self.kind is RegionKind.SPECIAL:
            return False
        if not kinds or self.kind in kinds:
            return True
        return RegionKind.ANON in kinds and self.kind in (RegionKind.HEAP, RegionKind.STACK)
