"""The simulated machine: nodes, processes and what they map, kernel, time, and whoever is at work on it."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.access import AccessModel
from numamig.backends.simulator.costs import Conditions, CostModel, Duration, Load
from numamig.backends.simulator.kernels import KERNELS, KernelProfile
from numamig.backends.simulator.links import Links
from numamig.backends.simulator.locks import PageTableLocks
from numamig.backends.simulator.memory import ABSENT, Backing, Flag, PageIndex, SimNode
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.backends.simulator.remap_settings import Remapping
from numamig.backends.simulator.timeline import MachineClock, Timeline
from numamig.backends.simulator.workload import Workload
from numamig.errors import TargetGone
from numamig.model.workings import MovingFigures, Workings

__all__ = ["Keeper", "Machine"]


_UNBOOKED_CALLS = 1024  # that are added up together


class Keeper(Protocol):
    """Keeps the state of a machine beyond the end of the program."""

    def ended(self, pid: int) -> None:
        """A process is about to end."""
        ...

    def close(self) -> None: ...


class Machine:
    """All of it. Calls hold ``lock``, so any thread may act on it."""

    def __init__(
        self,
        nodes: Sequence[SimNode],
        distances: dict[tuple[int, int], int] | None = None,
        kernel: KernelProfile = KERNELS["linux-6.12"],
        caller: Caller = Caller(),
        title: str = "simulated",
        costs: CostModel = CostModel(),
        access: AccessModel | None = None,
        seed: int = 1,
        timeline: Timeline | None = None,
    ) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.distances = distances or {(a, b): 10 if a == b else 20 for a in self.nodes for b in self.nodes}
        self.kernel = kernel
        self.caller = caller
        self.title = title
        self.scenario = ""
        """The file that it was made from."""
        self.costs = costs
        self.access = access or AccessModel(self.distances)
        self.seed = seed
        """Of every draw on this machine (``chance.draws``)."""
        self.lock = threading.RLock()
        self.timeline = timeline or Timeline()
        self.clock = MachineClock(self.timeline, self.lock)
        self.processes: dict[int, SimProcess] = {}
        self.workloads: list[Workload] = []
        self.actors: list[object] = []
        """That its scenario started."""
        self.balancing = 0
        """kernel.numa_balancing."""
        self.demotion = False
        """/sys/kernel/mm/numa/demotion_enabled."""
        self.stalled: float | None = 0.0
        """Share of the time, 0 to 1, in which all wait for memory; None: this kernel does not tell."""
        self.vmstat = {"pgmigrate_success": 0, "pgmigrate_fail": 0, "numa_pages_migrated": 0}
        self.moved_pages = np.zeros((256, 256), np.int64)
        """Base pages migrated by anybody, by (from, to)."""
        self.moving_calls = 0
        self.outcomes: Counter[str] = Counter()
        """What became of the pages of moving calls, in base pages."""
        self.phases_ns: Counter[str] = Counter()
        self._private_pages: dict[tuple[int, int], Duration] = {}
        self._unbooked: list[Duration] = []
        self.remapping = Remapping(PageTableLocks(self.timeline))
        """Of the kernels of 2004: settings, locks, and what is under migration."""
        self.links = Links(self.timeline, costs)
        self.keeper: Keeper | None = None
        """None: all of it is in memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file, where it has one; the machine must not be used after that."""
        with self.lock:
            if self.keeper is not None:
                self.keeper.close()

    @cached_property
    def boot_id(self) -> str:
        """Drawn, and not from the seed: no two machines are the same one."""
        return str(uuid.uuid4())

    @property
    def page_bytes(self) -> int:
        """Of a base page."""
        return self.kernel.page_bytes

    @cached_property
    def cpus(self) -> int:
        """That are online."""
        return sum(len(node.cpus) for node in self.nodes.values()) or 1

    def conditions(self, process: SimProcess, mappers: float = 1.0) -> Conditions:
        """Under which a call on a process is made here."""
        return Conditions(self.cpus, self._at_work(process), mappers=mappers, batch_pages=self.kernel.batch_pages)

    def private_pages(self, process: SimProcess, pages: int) -> Duration:
        """Of a call that moves so many base pages, side by side, that nobody else maps: the same again and again."""
        key = (pages, self._at_work(process))
        took = self._private_pages.get(key)
        if took is None:
            load = Load(pages, pages, 0, pages * self.page_bytes)
            took = self._private_pages[key] = self.costs.duration(load, self.conditions(process))
        return took

    def _at_work(self, process: SimProcess) -> int:
        """CPUs that run threads of a process."""
        if not self.workloads or not any(
            workload.running for workload in self.workloads if workload.process is process
        ):
            return 0
        nodes = process.cpu_nodes
        return min(process.threads, sum(len(self.nodes[node].cpus) for node in nodes) if nodes else self.cpus)

    def add(self, process: SimProcess, *, counted: bool = False) -> SimProcess:
        """Start a process. A backing that it shares with others counts one sharer more.

        :param counted: it does already
        """
        with self.lock:
            mapped = {id(region.backing) for p in self.processes.values() for region in p.regions}
            for backing in process.backings:
                if id(backing) in mapped and not counted:
                    backing.sharers += 1
            process.regions.sort(key=lambda region: region.start)
            self.processes[process.pid] = process
        return process

    def mappers(self, backing: Backing) -> list[tuple[SimProcess, SimRegion]]:
        """The reverse map: who maps a backing, and where."""
        return [(p, r) for p in self.processes.values() for r in p.regions if r.backing is backing]

    def work(self, workload: Workload) -> Workload:
        """A workload begins."""
        self.workloads.append(workload)
        self.paces_changed()
        return workload

    def paces_changed(self) -> None:
        """Something has that paces depend on: before it takes effect, all get on until now."""
        for workload in self.workloads:
            workload.set_period(None)

    def find_paces(self) -> None:
        """How fast each workload gets on, all of them competing for the nodes' bandwidth."""
        active = [workload for workload in self.workloads if workload.running]
        if not active:
            return
        parts = [workload.loads() for workload in active]
        shares, latency, compute = (np.concatenate([part[i] for part in parts]) for i in range(3))
        period = self.access.loaded(shares, latency, compute)
        first = 0
        for workload in active:
            last = first + len(workload.thread_nodes)
            workload.set_period(period[first:last])
            first = last

    def place(self, backing: Backing, first: int, node: NDArray[np.uint8], flags: int = 0) -> None:
        """Make pages present: ``node`` from page ``first`` on, taking free memory (ABSENT leaves untouched)."""
        with self.lock:
            part = slice(first, first + len(node))
            backing.node[part] = node
            if flags:
                backing.flags[part] |= np.uint8(flags)
            if not flags & Flag.ZERO:
                counts = np.bincount(node, minlength=256)
                self.take(counts)
                backing.resident_pages += int(len(node) - counts[ABSENT])

    def take(self, pages_by_node: NDArray[np.intp]) -> None:
        """Less free memory on each node."""
        for node in self.nodes.values():
            node.free_pages -= int(pages_by_node[node.id])

    def room(self, node: SimNode) -> int:
        """Pages that can still be allocated on a node for migration, with its page cache reclaimed."""
        return max(0, node.free_pages + node.cache_pages - node.reserve_pages)

    def relocate(self, backing: Backing, pages: PageIndex, target: int, source: int | None = None) -> None:
        """Pages that are present get another node; there must be room.

        :param source: where they all are, if that is known
        """
        was: NDArray[np.uint8] | int = backing.node[pages] if source is None else source
        if isinstance(was, int):
            count = pages.stop - pages.start if isinstance(pages, slice) else len(pages)
            self.nodes[was].free_pages += count
            self.moved_pages[was, target] += count
        else:
            count = len(was)
            leaving = np.bincount(was, minlength=256)
            self.take(-leaving)
            self.moved_pages[:, target] += leaving
        self.recount(backing, pages, was.copy() if not isinstance(was, int) else was, target)
        backing.node[pages] = target
        node = self.nodes[target]
        node.free_pages -= count
        if node.free_pages < node.reserve_pages and node.cache_pages:
            reclaimed = min(node.cache_pages, node.reserve_pages - node.free_pages)
            node.cache_pages -= reclaimed
            node.free_pages += reclaimed
        self.vmstat["pgmigrate_success"] += count

    def recount(self, backing: Backing, pages: PageIndex, was: NDArray[np.uint8] | int, target: int) -> None:
        """Workloads find pages elsewhere from now on."""
        for workload in self.workloads:
            if any(backing is each for each in workload.backings):
                for other in self.workloads:
                    other.catch_up()
                workload.relocated(backing, pages, was, target)

    def book(self, call: Duration) -> None:
        """Where the time of a moving call went."""
        self._unbooked.append(call)
        if len(self._unbooked) >= _UNBOOKED_CALLS:
            self.settle_books()

    def settle_books(self) -> None:
        """Add up what calls took until now: ``phases_ns``."""
        # Nearly all are one and the same; to compare them costs more than to add up the others.
        calls = {id(call): call for call in self._unbooked}
        for key, times in Counter(map(id, self._unbooked)).items():
            self._book(calls[key], times)
        self._unbooked.clear()

    def _book(self, call: Duration, times: int) -> None:
        phases = self.phases_ns
        phases["drain"] += round(call.drain_ns) * times
        phases["isolation"] += round(call.runs_ns) * times
        phases["flush"] += round(call.flush_ns) * times
        phases["allocation"] += round(call.folios_ns) * times
        phases["page tables"] += round(call.ptes_ns) * times
        phases["copy"] += round(call.copy_ns) * times
        phases["retries"] += round(call.failed_ns) * times
        if call.writeback_ns:
            phases["writeback"] += round(call.writeback_ns) * times

    def disturb(self, moved: Sequence[tuple[Backing, PageIndex]], call: Duration) -> None:
        """What a call on some pages costs those who touch them."""
        if not self.workloads or not call.flushes:
            return
        for workload in self.workloads:
            for backing, pages in moved:
                if any(backing is each for each in workload.backings):
                    workload.under_migration(backing, pages, call.flushes, call.batches_ns / call.flushes)
                    threads = len(workload.thread_nodes)
                    workload.stall(np.full(threads, call.interrupts / threads * self.costs.ipi_ns))

    def end(self, pid: int) -> None:
        """A process ends; memory that nobody else maps is freed."""
        with self.lock:
            if self.keeper is not None:
                self.keeper.ended(pid)
            process = self.processes.pop(pid)
            self.workloads = [workload for workload in self.workloads if workload.process is not process]
            others = {id(region.backing) for p in self.processes.values() for region in p.regions}
            for backing in process.backings:
                if id(backing) in others:
                    backing.sharers -= 1
                else:
                    real = (backing.flags & Flag.ZERO) == 0
                    self.take(-np.bincount(backing.node[real], minlength=256))

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
        caller = self.caller
        return caller.sys_ptrace or (process.user == caller.user and not process.capable)

    def workings(self) -> Workings:
        """What can be seen from inside, now."""
        with self.lock:
            self.settle_books()
            ways = np.argwhere(self.moved_pages)
            return Workings(
                self.timeline.now_ns,
                MovingFigures(
                    self.moving_calls,
                    {(int(a), int(b)): int(self.moved_pages[a, b]) for a, b in ways},
                    dict(self.outcomes),
                    dict(self.phases_ns),
                ),
                self.remapping.locks.figures(),
                tuple(workload.figures() for workload in self.workloads),
            )
