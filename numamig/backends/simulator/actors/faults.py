"""Faults on marked pages: who touched them, what is counted, and which pages come to the toucher's node.

Source: task_numa_fault and should_numa_migrate_memory in kernel/sched/fair.c, do_numa_page in mm/memory.c and
migrate_misplaced_page in mm/migrate.c of 6.1; read, and written anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.actors.base import Stream
from numamig.backends.simulator.actors.marks import Units, drawn_for
from numamig.backends.simulator.actors.scanner import Scanner, virtual_page
from numamig.backends.simulator.actors.scanrate import FaultTally
from numamig.backends.simulator.costs import Duration, Load
from numamig.backends.simulator.memory import Backing, Flag
from numamig.model.process import RegionKind

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.process import SimRegion
    from numamig.backends.simulator.workload import Workload

__all__ = ["HintFaults", "LastTouch"]

_FIRST_PASSES = 4
"""So long, private pages come at once."""
_ACTIVE_FRACTION = 3
"""ACTIVE_NODE_FRACTION: a node with so many times as many faults is the more active one."""
_HELD = int(Flag.PINNED | Flag.ISOLATED)


@dataclass(slots=True)
class LastTouch:
    """Who faulted on each page last: the kernel's last_cpupid, for the whole machine."""

    home: list[int] = field(default_factory=list)
    """Thread (a number on this machine) → its node."""
    _by_backing: dict[int, tuple[Backing, NDArray[np.int32]]] = field(default_factory=dict)

    def enlist(self, thread_nodes: NDArray[np.intp]) -> int:
        """Threads begin; the number of the first."""
        first = len(self.home)
        self.home.extend(thread_nodes.tolist())
        return first

    def of(self, backing: Backing) -> NDArray[np.int32]:
        """Shape (pages,): thread, or -1."""
        if id(backing) not in self._by_backing:
            self._by_backing[id(backing)] = (backing, np.full(len(backing.node), -1, np.int32))
        return self._by_backing[id(backing)][1]


class HintFaults:
    """The faults of one process."""

    def __init__(self, machine: Machine, workload: Workload, scanner: Scanner, last: LastTouch) -> None:
        self._machine, self._workload, self._scanner, self._last = machine, workload, scanner, last
        self._first_thread = last.enlist(workload.thread_nodes)
        self._tally = FaultTally()
        self._passes = self._batches = 0
        self._grouped = False
        """Whether two threads have met on a page."""
        self._by_cpu, self._by_memory = np.zeros(256), np.zeros(256)
        """Faults of the group by the node of the toucher, and of the page; half of them forgotten at each pass."""
        self._new_by_cpu, self._new_by_memory = np.zeros(256), np.zeros(256)
        self.moved_pages = 0

    def end_pass(self) -> FaultTally:
        """What was tallied since the last one."""
        tally, self._tally = self._tally, FaultTally()
        self._passes += 1
        self._by_cpu = self._by_cpu / 2 + self._new_by_cpu
        self._by_memory = self._by_memory / 2 + self._new_by_memory
        self._new_by_cpu[:] = self._new_by_memory[:] = 0
        return tally

    def take(self, row: int, units: Units, serial: NDArray[np.int32], fault_ns: float, most_pages: int) -> None:
        """Units are touched, in this order; those whose mark is gone do not fault."""
        region = self._scanner.region_of(units.backing)
        if region is None:
            return
        units = units[self._scanner.still_marked(units, serial)]
        if not len(units):
            return
        backing, head, pages = units.backing, units.head, units.pages
        thread = self._who_touches(row, region, units)
        target = self._workload.thread_nodes[thread].astype(np.intp)
        source = backing.node[head].astype(np.intp)
        last = self._last.of(backing)
        before, number = last[head].copy(), (thread + self._first_thread).astype(np.int32)
        last[head] = number
        backing.flags[units.index()] &= np.uint8(255 & ~Flag.HINTED)
        local, private = source == target, (before < 0) | (before == number)
        self._grouped |= not bool(private.all())
        self._machine.vmstat["numa_hint_faults"] += len(units)
        self._machine.vmstat["numa_hint_faults_local"] += int(local.sum())
        wanted = ~local & self._agreed(before, number, private, source, target)
        moves = wanted & self._can(region, units, target, wanted, most_pages)
        self._count(pages, local, private, wanted & ~moves)
        now = np.where(moves, target, source)
        self._new_by_cpu += np.bincount(target, weights=pages, minlength=256)
        self._new_by_memory += np.bincount(now, weights=pages, minlength=256)
        robbed = np.bincount(thread, minlength=len(self._workload.thread_nodes)).astype(np.float64) * fault_ns
        waited, longest_ns = self._migrate(units[moves], target[moves], thread[moves])
        self._workload.stall(waited, longest_ns, robbed)

    def _who_touches(self, row: int, region: SimRegion, units: Units) -> NDArray[np.intp]:
        """Shape (units,): the thread that comes first, each as likely as it is quick."""
        if len(self._workload.totals()) > 1:
            return np.full(len(units), row, np.intp)
        pace = np.cumsum(1 / self._workload.period_ns())
        first = virtual_page(region)
        self._batches += 1
        drawn = drawn_for(self._machine.seed, Stream.TOUCHER, self._workload.process.pid, first, units, self._batches)
        return np.minimum(np.searchsorted(pace / pace[-1], drawn, side="right"), len(pace) - 1)

    def _agreed(
        self,
        before: NDArray[np.int32],
        number: NDArray[np.int32],
        private: NDArray[np.bool_],
        source: NDArray[np.intp],
        target: NDArray[np.intp],
    ) -> NDArray[np.bool_]:
        """Whether a page should come, by who touched it before: the two stages of the filter."""
        home = np.array([*self._last.home, -1], np.intp)  # the last for -1
        here = (before < 0) | (home[before] == target)
        agreed = here & (before == number)
        if self._passes < _FIRST_PASSES:
            agreed |= private
        if not self._grouped:
            return np.asarray(agreed | here)
        cpu, memory = self._by_cpu, self._by_memory
        busier = cpu[target] > cpu[source] * _ACTIVE_FRACTION
        fairer = cpu[target] * memory[source] * 3 > cpu[source] * memory[target] * 4
        return np.asarray(agreed | (here & (busier | fairer)))

    def _can(
        self, region: SimRegion, units: Units, target: NDArray[np.intp], wanted: NDArray[np.bool_], most_pages: int
    ) -> NDArray[np.bool_]:
        """Which of those wanted can move: not held by anybody, and while there is room above the high watermark."""
        machine, backing, head = self._machine, units.backing, units.head
        can = wanted & (backing.flags[head] & _HELD == 0)
        if region.kind is RegionKind.FILE and "x" in region.permissions:
            can &= backing.sharers[head] == 1
        allowed = self._workload.process.mems_allowed
        can &= np.cumsum(np.where(can, units.pages, 0)) <= most_pages
        for node_id in np.unique(target[can]).tolist():
            node = machine.nodes[node_id]
            mine = can & (target == node_id)
            if not node.total_pages or (allowed is not None and node_id not in allowed):
                can &= ~mine
                continue
            room = max(0, node.free_pages - node.reserve_pages * 6 // 4)
            can &= ~mine | (np.cumsum(np.where(mine, units.pages, 0)) <= room)
        return np.asarray(can)

    def _count(
        self,
        pages: NDArray[np.int64],
        local: NDArray[np.bool_],
        private: NDArray[np.bool_],
        failed: NDArray[np.bool_],
    ) -> None:
        tally, total = self._tally, int(pages.sum())
        here, own = int(pages[local].sum()), int(pages[private].sum())
        tally.local += here
        tally.remote += total - here
        tally.private += own
        tally.shared += total - own
        tally.failed += int(pages[failed].sum())

    def _migrate(
        self, units: Units, target: NDArray[np.intp], thread: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], float]:
        """Pages come to their touchers' nodes, one at a time.

        :returns: shape (threads,), ns that each waited for them; and the longest wait
        """
        machine, workload, backing = self._machine, self._workload, units.backing
        waited, longest_ns = np.zeros(len(workload.thread_nodes)), 0.0
        for node in np.unique(target).tolist():
            index = units[target == node].index()
            machine.relocate(backing, index, node)
            machine.vmstat["numa_pages_migrated"] += len(index)
            self.moved_pages += len(index)
        for size in np.unique(units.pages).tolist():
            mine = units.pages == size
            took = self._one_by_one(int(size), int(mine.sum()))
            each_ns = (took.batches_ns + took.runs_ns) / int(mine.sum())
            waited += np.bincount(thread[mine], minlength=len(waited)) * each_ns
            longest_ns = max(longest_ns, each_ns)
            machine.disturb([(backing, units[mine].index())], took)
        return waited, longest_ns

    def _one_by_one(self, pages: int, folios: int) -> Duration:
        """What migrating so many folios takes, each in a run and with a flush of its own."""
        machine = self._machine
        ptes, far_ptes = Load.entries(pages, machine.kernel.huge_pages)
        load = Load(folios, folios * ptes, folios * far_ptes, folios * pages * machine.page_bytes, folios)
        conditions = replace(machine.conditions(self._workload.process), batch_pages=1)
        return machine.costs.duration(load, conditions)
