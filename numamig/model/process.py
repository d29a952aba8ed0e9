"""A process, and the regions of its address space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Hazards", "MemoryImage", "Process", "ProcessFacts", "Region", "RegionKind", "RegionPolicy"]


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
class MemoryImage:
    """Which memory a process has: what an exec changes although pid and start time stay. Equal, or another one."""

    boot: str
    """Of the machine: /proc/sys/kernel/random/boot_id; of a simulated machine, a name drawn when it was made."""
    pid: int
    start_time: int
    """As in ``Process``."""
    executable: tuple[int, int]
    """Device and inode of /proc/PID/exe; zeros where that may not be read."""
    layout: tuple[int, ...]
    """Where program, stack, arguments and environment begin: drawn anew at every exec. Empty where not known."""


@dataclass(frozen=True, slots=True)
class Hazards:
    """Why a process should not be slowed down, be it for a moment."""

    init: bool = False
    """pid 1: what everything else hangs on."""
    ancestor: bool = False
    """The caller runs below it: shell, terminal, session."""
    realtime_threads: int = 0
    """Threads that are scheduled by SCHED_FIFO, SCHED_RR or SCHED_DEADLINE."""
    kvm_guest: bool = False
    """It runs a virtual machine: /dev/kvm is open in it."""
    devices: tuple[str, ...] = ()
    """Devices it has open that reach its memory by themselves: "/dev/vfio/12", "/dev/infiniband/uverbs0"."""
    pinned_bytes: int = 0
    """VmPin: pages that such devices hold, and that cannot move."""
    isolated_cpus: tuple[int, ...] = ()
    """Isolated CPUs of the machine, which each moving call interrupts all the same."""


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
