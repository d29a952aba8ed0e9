"""The twin as a backend. It takes a process in when its memory is first asked for, and moves pages of its own only."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import (
    MPOL_MF_MOVE,
    UNWRITTEN,
    Backend,
    ClearsHints,
    FolioCost,
    MovePagesCall,
    MovePagesReturn,
    TellsHazards,
    TellsHeat,
    TellsHugeRoom,
    TellsPolicies,
    TellsProcessFacts,
    TellsSharing,
)
from numamig.backends.simulator.backend import SimulatedHold, SimulatorBackend
from numamig.backends.simulator.process import SimProcess
from numamig.backends.snapshot.machine import machine_like
from numamig.backends.snapshot.pages import PageTaker
from numamig.backends.snapshot.sharing import SharingSeen, take_sharing
from numamig.backends.wrappers import ReadOnly
from numamig.errors import RefusedError, TargetGone
from numamig.model.pageflags import PageFlag, PageFlags
from numamig.model.pages import PageRuns, Ranges
from numamig.model.process import Hazards, MemoryImage, Process, ProcessFacts, Region, RegionKind, RegionPolicy
from numamig.model.topology import NodeCounters, Topology

__all__ = ["SnapshotBackend", "Taken"]

_MOST_WALKED_BYTES = 1 << 30
"""Resident bytes up to which a real machine is asked for policies: it walks all page tables of the process."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A process that the twin has taken in, and how well it is known."""

    process: Process
    regions: tuple[Region, ...]
    pages: int
    """Base pages that were present."""
    hidden_pages: int
    """Of these, base pages whose node the original could not tell."""
    sharing: SharingSeen | None
    """None: the original does not tell what is shared, and nothing is taken to be."""


class SnapshotBackend(SimulatorBackend):
    """The twin of a machine as it was when this was made, and of each process as it was when it was first looked into.

    All that is not a matter of pages (lists of processes, rights, cpusets, hazards) is as the original says.
    """

    name = "snapshot"
    huge_room: Callable[[int], int]
    """As ``TellsHugeRoom``, where the original tells."""

    def __init__(self, original: Backend) -> None:
        self._original: Backend = ReadOnly(original)
        self._topology, self._counters = original.topology(), original.node_counters()
        may_trace = isinstance(original, ClearsHints)
        super().__init__(machine_like(self._original, self._topology, self._counters, may_trace=may_trace))
        has = original.capabilities
        self._capabilities = replace(
            has,
            simulated=True,
            virtual_time=True,
            lasting=False,
            balancing=bool(self.machine.balancing),
        )
        self._listed = original.processes()
        self._seen: dict[int, Process] = {}
        self._facts: dict[int, ProcessFacts] = {}
        self._taken: dict[int, Taken] = {}
        if isinstance(original, TellsHugeRoom):
            self._huge_room = {node: original.huge_room(node) for node in self._topology.memory_nodes}
            self.huge_room = self._huge_room_left  # only here: who asks for the ability goes by what is there

    @property
    def taken(self) -> tuple[Taken, ...]:
        """Processes that have been taken in, ascending by pid."""
        return tuple(taken for _, taken in sorted(self._taken.items()))

    def take(self, pid: int) -> Taken:
        """A process with the pages that it has now; the same again for one that has been taken in.

        :raises TargetGone: there is none with that pid, or it ended meanwhile.
        :raises RefusedError: the caller may not look.
        """
        with self.machine.lock:
            if pid not in self._taken:
                self._taken[pid] = self._take(self.process(pid))
            return self._taken[pid]

    def _take(self, process: Process) -> Taken:
        original, pid = self._original, process.pid
        if process.kernel_thread or process.zombie:
            self.machine.add(self._simulated(process, None))
            return Taken(process, (), 0, 0, None)
        hold = original.hold(process)
        try:
            regions = original.regions(pid)
            taker = PageTaker(regions, self._topology.page_size, self._topology.huge_page_size, self._hidden_node())
            ranges = [(region.start, region.end) for region in regions if region.kind is not RegionKind.SPECIAL]
            for runs in original.page_runs(pid, ranges):
                taker.add(runs)
            simulated = self._simulated(process, self._told(pid))
            simulated.regions = taker.extents()
            sharing = self._sharing(pid, simulated)
            hold.check()  # all of that was one and the same process
        finally:
            hold.close()
        # Its memory is among what is used of the nodes already: none is taken for it.
        self.machine.add(simulated)
        return Taken(process, tuple(regions), taker.pages, taker.hidden_pages, sharing)

    def _simulated(self, process: Process, facts: ProcessFacts | None) -> SimProcess:
        """Without its pages. Rights are as the original says, whatever they follow from there."""
        may_move, allowed = (True, None) if facts is None else (facts.may_move, facts.mems_allowed)
        return SimProcess(
            process.pid,
            process.name,
            self.machine.caller.user if may_move else process.user,
            process.cmdline,
            process.start_time,
            process.threads,
            process.cpu_nodes,
            kernel_thread=process.kernel_thread,
            zombie=process.zombie,
            capable=not may_move,
            mems_allowed=None if allowed is None else frozenset(allowed),
        )

    def _sharing(self, pid: int, simulated: SimProcess) -> SharingSeen | None:
        original = self._original
        if not isinstance(original, TellsSharing):
            return None
        try:
            return take_sharing(lambda addresses: original.shared_pages(pid, addresses), simulated.regions)
        except RefusedError:
            return None

    def _hidden_node(self) -> int:
        """Where pages are taken to be that the original hides: on the node that has most of its memory in use."""
        used = {node.id: node.total_bytes - node.free_bytes for node in self._topology.nodes if node.has_memory}
        return max(used, key=lambda node: used[node])

    # What is not a matter of pages

    def topology(self) -> Topology:
        nodes = tuple(replace(node, free_bytes=self.free_bytes(node.id)) for node in self._topology.nodes)
        return replace(self._topology, nodes=nodes)

    def processes(self) -> Sequence[Process]:
        """As they were when the twin was made."""
        return self._listed

    def process(self, pid: int) -> Process:
        if pid not in self._seen:
            self._seen[pid] = self._original.process(pid)
        return self._seen[pid]

    def process_facts(self, pid: int) -> ProcessFacts:
        told = self._told(pid)
        if told is None:
            self.take(pid)
            return super().process_facts(pid)
        return told

    def _told(self, pid: int) -> ProcessFacts | None:
        """By the original, where it tells."""
        if pid not in self._facts and isinstance(self._original, TellsProcessFacts):
            self._facts[pid] = self._original.process_facts(pid)
        return self._facts.get(pid)

    def hazards(self, pid: int) -> Hazards:
        return self._original.hazards(pid) if isinstance(self._original, TellsHazards) else Hazards()

    def heat(self, pid: int, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Of the original's pages, watched now."""
        if not isinstance(self._original, TellsHeat):
            raise RefusedError("this machine does not tell which pages are in use", pid=pid)
        return self._original.heat(pid, start, end)

    def policies(self, pid: int) -> Sequence[RegionPolicy]:
        """
        :raises RefusedError: to ask for them might keep the process waiting.
        """
        original, taken = self._original, self.take(pid)
        if not isinstance(original, TellsPolicies):
            return [RegionPolicy(region.start, "default") for region in taken.regions]
        if taken.process.resident_bytes > _MOST_WALKED_BYTES and not original.capabilities.simulated:
            raise RefusedError(
                "of a process of this size they are not looked at",
                hint=f"numamig show {pid} --policies looks, once",
                pid=pid,
            )
        return original.policies(pid)

    def node_counters(self) -> NodeCounters:
        """Free memory and what migration counts are the twin's; the rest is as it was."""
        return replace(
            self._counters,
            taken_ns=self.clock.now_ns(),
            free_bytes={node: self.free_bytes(node) for node in self._counters.free_bytes},
            vmstat=dict(self.machine.vmstat),
        )

    def _huge_room_left(self, node: int) -> int:
        """As it was, as far as there is still free memory for it."""
        return min(self._huge_room.get(node, 0), self.free_bytes(node) // max(1, self._topology.huge_page_size))

    # Pages

    def hold(self, process: Process) -> SimulatedHold:
        self.take(process.pid)
        return super().hold(process)

    def regions(self, pid: int) -> Sequence[Region]:
        return self.take(pid).regions

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        self.take(pid)
        return super().page_runs(pid, ranges)

    def move_pages(
        self, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
    ) -> MovePagesReturn:
        refused = self._admit(pid, len(addresses))
        return refused or super().move_pages(pid, addresses, nodes, flags)

    def move_pages_together(self, calls_: Sequence[MovePagesCall]) -> list[MovePagesReturn]:
        refused = [self._admit(call.pid, len(call.addresses)) for call in calls_]
        if not any(refused):
            return super().move_pages_together(calls_)
        return [no or self.move_pages(*call) for call, no in zip(calls_, refused, strict=True)]

    def clear_hints(self, pid: int, addresses: NDArray[np.uint64]) -> bool:
        self.take(pid)
        return super().clear_hints(pid, addresses)

    def shared_pages(self, pid: int, addresses: NDArray[np.uint64]) -> NDArray[np.int8]:
        if self.take(pid).sharing is None:
            raise RefusedError("what is shared is not known", hint="it takes the right to open its pagemap", pid=pid)
        return super().shared_pages(pid, addresses)

    def page_flags(self, pid: int, addresses: NDArray[np.uint64]) -> PageFlags:
        """What was taken in: which pages are huge, and which are shared where that is known."""
        told = PageFlag.HUGE if self.take(pid).sharing is None else PageFlag.HUGE | PageFlag.SHARED
        seen = super().page_flags(pid, addresses)
        return PageFlags(seen.flags & np.uint16(told), seen.known & np.uint16(told))

    def folio_cost(self, pid: int, folio_bytes: int) -> FolioCost | None:
        self.take(pid)
        return super().folio_cost(pid, folio_bytes)

    def memory_image(self, pid: int) -> MemoryImage:
        self.take(pid)
        return super().memory_image(pid)

    def _admit(self, pid: int, pages: int) -> MovePagesReturn | None:
        """See that a process is there to be moved; the answer of a kernel that does not let us."""
        try:
            self.take(pid)
        except TargetGone:
            return None  # the simulated kernel finds none with that pid either
        except RefusedError:
            return MovePagesReturn(-1, errno.EPERM, np.full(pages, UNWRITTEN, np.int32))
        return None
