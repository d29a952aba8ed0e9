"""A small machine on which everybody acts, and what must be true of it at every moment, read from its page tables."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.actors.balancing import Balancing
from numamig.backends.simulator.actors.demotion import Demotion, DemotionSettings
from numamig.backends.simulator.actors.scanrate import ScanSettings
from numamig.backends.simulator.actors.second_tool import SecondTool
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, HUGE_PAGES, PAGE, Backing, Flag, SimNode
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.job import Job
from numamig.migrate.journal.locks import WriterLocks
from numamig.migrate.journal.record import Recorder
from numamig.migrate.journal.store import Journal
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome
from numamig.model.process import RegionKind

MS = 10**6
NODES = (0, 1, 2, 3)
PIDS = (10, 20, 30)
MANY, FEW, SHARES = PIDS
RESERVE = 64


def build(kernel: str) -> SimulatorBackend:
    """Three processes, one of them with huge pages and two of them with memory in common; node 2 is nearly full."""
    sizes = (12_000, 12_000, 4_000, 12_000)
    nodes = [
        SimNode(n, (2 * n, 2 * n + 1) if n < 3 else (), size, size, RESERVE, tier=int(n == 3))
        for n, size in enumerate(sizes)
    ]
    machine = Machine(nodes, kernel=KERNELS[kernel], seed=5)
    machine.nodes[2].free_pages -= 300
    machine.nodes[2].cache_pages += 300
    random = np.random.Generator(np.random.PCG64(11))
    common = _place(machine, random.choice([0, 0, 1], 400))
    layouts: dict[int, list[tuple[Backing, RegionKind, str]]] = {
        MANY: [
            (_place(machine, random.choice([0, 0, 0, 1, 2, ABSENT], 3000)), RegionKind.ANON, "rw-p"),
            (_place(machine, np.repeat([0, 1, 0, 3], HUGE_PAGES), Flag.LARGE), RegionKind.ANON, "rw-p"),
            (common, RegionKind.SHMEM, "rw-s"),
        ],
        FEW: [(_place(machine, random.choice([1, 2], 1500)), RegionKind.HEAP, "rw-p")],
        SHARES: [
            (common, RegionKind.SHMEM, "rw-s"),
            (_place(machine, np.repeat([2, 0], HUGE_PAGES), Flag.LARGE), RegionKind.ANON, "rw-p"),
        ],
    }
    for pid, regions in layouts.items():
        start, process = 0x7F0000000000, SimProcess(pid, f"p{pid}", threads=pid // 10, cpu_nodes=(pid // 10 % 3, 1))
        for backing, kind, permissions in regions:
            process.regions.append(SimRegion(start, backing, kind, permissions))
            start += (len(backing.node) * PAGE + (4 << 20)) >> 21 << 21
        machine.add(process)
        machine.work(Workload(machine, process, WorkloadPlan(compute_ns=1000.0, split=pid == MANY)))
    _hold(layouts[MANY][0][0], random, Flag.PINNED, 5)
    _hold(layouts[MANY][0][0], random, Flag.ISOLATED, 5)
    return SimulatorBackend(machine)


def _place(machine: Machine, node: NDArray[np.int64], flags: int = 0) -> Backing:
    backing = Backing.untouched(len(node))
    machine.place(backing, 0, node.astype(np.uint8), flags)
    return backing


def _hold(backing: Backing, random: np.random.Generator, flag: Flag, pages: int) -> None:
    present = np.flatnonzero(backing.node != ABSENT)
    backing.flags[random.choice(present, pages, replace=False)] |= np.uint8(flag)


class Before(NamedTuple):
    """How things were when a job was planned."""

    node: dict[str, NDArray[np.uint8]]
    """By backing: where each page was."""
    moved: int
    """Pages, by anybody."""


class World:
    """The machine, who acts on it, and what was true of it at the beginning."""

    def __init__(self, kernel: str, *, balancing: bool, others: bool) -> None:
        self.backend = build(kernel)
        self.machine = self.backend.machine
        scanning = ScanSettings(delay_ns=3 * MS, period_min_ns=30 * MS, period_max_ns=90 * MS, size_bytes=4 << 20)
        self.tool = SecondTool(FEW, 0, at_ns=4 * MS, every_ns=9 * MS, pages=60, call_pages=20)
        if balancing:
            Balancing(scanning).start(self.machine)
        if others:
            Demotion(DemotionSettings(look_ns=5 * MS)).start(self.machine)
            self.tool.start(self.machine)
        self.jobs: list[Job] = []
        self.before: dict[int, Before] = {}
        """By the number of the job."""
        self._folder = tempfile.TemporaryDirectory()
        self.journal = Journal(Path(self._folder.name) / "journal.sqlite")
        self._recorder = Recorder(self.journal, WriterLocks(None), self.backend)
        self.backings = self._find_backings()
        self._present = {key: self._count(backing) for key, backing in self.backings.items()}
        self._held = {key: self._where_held(backing) for key, backing in self.backings.items()}
        self._elsewhere = {node: self._capacity(node) for node in NODES}

    def close(self) -> None:
        self._recorder.close()
        self._folder.cleanup()

    def begin(self, plan: Plan, chooses: ChoosesFor = choose_by_plan) -> Job:
        """A job that is written down, and has not moved anything yet."""
        record = self._recorder.begin(plan)
        job = Job(record.number, self.backend, plan, record, chooses=chooses)
        self.jobs.append(job)
        self.before[job.number] = Before(self.placement(), int(self.machine.moved_pages.sum()))
        return job

    def placement(self) -> dict[str, NDArray[np.uint8]]:
        return {key: backing.node.copy() for key, backing in self.backings.items()}

    def moved_by_others(self, *jobs: Job) -> int:
        """Pages that somebody else has moved since the first of some jobs was planned."""
        own = sum(job.snapshot().outcomes[Outcome.MOVED] for job in jobs)
        return int(self.machine.moved_pages.sum()) - self.before[jobs[0].number].moved - own

    def acted(self) -> tuple[int, int, int]:
        """How much the actors have done until now."""
        vmstat = self.machine.vmstat
        return vmstat["numa_pages_migrated"], vmstat.get("pgdemote_kswapd", 0), self.tool.calls

    def fill(self, node: int, free: int) -> None:
        """The kernel takes memory of a node for itself, or gives it back."""
        one = self.machine.nodes[node]
        free = min(free, one.free_pages + max(0, -self._elsewhere[node]))
        self._elsewhere[node] += free - one.free_pages
        one.free_pages = free

    def end(self, pid: int) -> None:
        """A process ends; what nobody else maps is free."""
        self.machine.end(pid)
        mapped = {id(region.backing) for process in self.machine.processes.values() for region in process.regions}
        self.backings = {key: backing for key, backing in self.backings.items() if id(backing) in mapped}

    def at(self, node: int) -> int:
        """Pages on a node, from the page tables."""
        return sum(int((backing.node == node).sum()) for backing in self.backings.values())

    def selected(self, pid: int, sources: tuple[int, ...] | None, target: int) -> int:
        """Pages that a request means, from the page tables."""
        total = 0
        for region in self.machine.processes[pid].regions:
            node = region.backing.node
            wanted = (node != ABSENT) & (node != target)
            if sources is not None:
                wanted &= np.isin(node, sources)
            total += int(wanted.sum())
        return total

    def check(self) -> None:
        """Everything that must be true."""
        for key, backing in self.backings.items():
            assert self._count(backing) == self._present[key] == backing.resident_pages, "a page was lost or doubled"
            assert self._where_held(backing) == self._held[key], "a page moved that somebody holds"
            large = backing.flags & np.uint8(Flag.LARGE) != 0
            for first in range(0, len(backing.node), HUGE_PAGES) if large.any() else ():
                folio = slice(first, first + HUGE_PAGES)
                if large[folio].any():
                    assert large[folio].all() and len(set(backing.node[folio].tolist())) == 1, "a folio came apart"
            hinted = backing.flags & np.uint8(Flag.HINTED) != 0
            assert not (hinted & (backing.node == ABSENT)).any(), "a page that is not there is marked"
        for node in NODES:
            one = self.machine.nodes[node]
            assert 0 <= one.free_pages <= one.total_pages, "a node is over its capacity"
            assert self._capacity(node) == self._elsewhere[node], "free, used, cache and pool do not add up"
        vmstat = self.machine.vmstat
        assert vmstat["pgmigrate_success"] == int(self.machine.moved_pages.sum())
        faults, local = vmstat.get("numa_hint_faults", 0), vmstat.get("numa_hint_faults_local", 0)
        assert local <= faults <= vmstat.get("numa_pte_updates", 0)
        for workload in self.machine.workloads:
            self._check_shares(workload)
        for job in self.jobs:
            self.check_account(job.snapshot())

    def check_account(self, job: JobSnapshot) -> None:
        """What a job says of its pages adds up, and to what is there."""
        counts = [job.outcomes[outcome] for outcome in Outcome]
        assert min(counts) >= 0 and sum(counts) == job.outcomes.total == job.chosen, "the account does not add up"
        assert sum(job.moved.values()) == job.outcomes[Outcome.MOVED], "the ways of the pages do not add up"

    def _find_backings(self) -> dict[str, Backing]:
        found: dict[int, tuple[str, Backing]] = {}
        for pid in PIDS:
            for region in self.machine.processes[pid].regions:
                found.setdefault(id(region.backing), (f"{pid}@{region.start:x}", region.backing))
        return dict(found.values())

    def _capacity(self, node: int) -> int:
        """What is on a node, free memory included, less its size."""
        one = self.machine.nodes[node]
        return self.at(node) + one.free_pages + one.cache_pages + one.pool_free * HUGE_PAGES - one.total_pages

    @staticmethod
    def _count(backing: Backing) -> int:
        return int((backing.node != ABSENT).sum())

    @staticmethod
    def _where_held(backing: Backing) -> list[int]:
        held = backing.flags & np.uint8(Flag.PINNED | Flag.ISOLATED) != 0
        return np.where(held, backing.node, ABSENT).tolist()

    @staticmethod
    def _check_shares(workload: Workload) -> None:
        """What its pace follows from is where its pages are."""
        fresh = Workload(workload.machine, workload.process, workload.plan)
        np.testing.assert_allclose(workload.shares(), fresh.shares(), atol=1e-9)
