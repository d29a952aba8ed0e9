"""NUMA balancing (kernel.numa_balancing=1): pages are marked, and come to whoever touches them next.

A scanner for each process at work marks a window of its pages (``Flag.HINTED``). A marked page that a thread touches
faults: the mark goes, and the page comes to the thread's node where the last fault was from there too. Threads stay
where they are: the other half of the kernel's balancing, moving threads to their memory, is not simulated.

Source: kernel/sched/fair.c (task_numa_work, task_numa_fault, should_numa_migrate_memory), mm/mprotect.c and
mm/migrate.c (migrate_misplaced_page) of 6.1; read, and written anew.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import simpy

from numamig.backends.simulator.actors.base import parameter
from numamig.backends.simulator.actors.faults import HintFaults, LastTouch
from numamig.backends.simulator.actors.marks import MarkQueue
from numamig.backends.simulator.actors.scanner import Scanner
from numamig.backends.simulator.actors.scanrate import ScanRate, ScanSettings

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.workload import Workload

__all__ = ["Balancing", "BalancingSettings"]


@dataclass(frozen=True, slots=True)
class BalancingSettings:
    """Parameters besides those of scanning."""

    fault_ns: float = parameter(
        1_000.0, "ns/fault", "assumed: a minor fault of today's x86-64 machines; not measured here"
    )
    """That the thread loses, besides the migration."""
    mark_ns: float = parameter(30.0, "ns/page", "assumed: as much as reading an entry of the page map, measured 26-32")
    """That the thread loses which scans."""
    most_bytes_per_s: int = parameter(
        0, "bytes/s", "read: none since 4.20 took ratelimit_pages out of mm/migrate.c; it was 1280 MiB/s before"
    )
    """Migrated for a process at most; 0 for no limit."""
    batches: int = parameter(16, "1", "chosen: of the simulation, the faults of a window are worked out in so many")
    least_batch_ns: int = parameter(1_000_000, "ns", "chosen: of the simulation, batches are no closer together")


@dataclass(slots=True)
class Balancing:
    """The actor: finds processes at work, and gives each a scanner."""

    scanning: ScanSettings = field(default_factory=ScanSettings)
    settings: BalancingSettings = field(default_factory=BalancingSettings)

    def start(self, machine: Machine) -> object:
        machine.balancing = 1
        for counter in ("numa_pte_updates", "numa_huge_pte_updates", "numa_hint_faults", "numa_hint_faults_local"):
            machine.vmstat.setdefault(counter, 0)
        return machine.timeline.process(self._watch(machine))

    def _watch(self, machine: Machine) -> Generator[simpy.Event, None, None]:
        last = LastTouch()
        known: list[Workload] = []
        while True:
            for workload in machine.workloads:
                if workload.running and not any(workload is each for each in known):
                    known.append(workload)
                    machine.timeline.process(_Balanced(self, machine, workload, last).run())
            known = [workload for workload in known if workload.running]
            yield machine.timeline.timeout(self.scanning.delay_ns)


class _Balanced:
    """One process at work, its scanner and its faults."""

    def __init__(self, actor: Balancing, machine: Machine, workload: Workload, last: LastTouch) -> None:
        self._machine, self._workload, self._settings = machine, workload, actor.settings
        self._rate = ScanRate(actor.scanning)
        self._queue = MarkQueue(len(workload.totals()))
        self._scanner = Scanner(machine, workload, self._queue)
        self._faults = HintFaults(machine, workload, self._scanner, last)
        self._done = workload.accesses()
        self._allowance = 0.0
        self._refilled_ns = machine.timeline.now_ns

    def run(self) -> Generator[simpy.Event, None, None]:
        timeline, rate = self._machine.timeline, self._rate
        self._scanner.adopt()
        next_scan_ns = timeline.now_ns + rate.settings.delay_ns
        while self._at_work():
            wait_ns = min(float(next_scan_ns - timeline.now_ns), self._next_faults_ns())
            yield timeline.timeout(max(1, round(wait_ns)))
            if not self._at_work():
                return
            self._take_faults()
            if timeline.now_ns >= next_scan_ns:
                self._scan()
                next_scan_ns = timeline.now_ns + rate.period_ns

    def _at_work(self) -> bool:
        process = self._workload.process
        return self._workload.running and self._machine.processes.get(process.pid) is process

    def _next_faults_ns(self) -> float:
        soonest = self._queue.next_ns(self._workload.touches_of_all_per_ns(), self._settings.batches)
        return max(float(self._settings.least_batch_ns), soonest)

    def _scan(self) -> None:
        marked, passed = self._scanner.scan(self._rate.settings)
        if passed:  # what the faults of the whole pass say
            resident = self._workload.process.resident_pages * self._machine.page_bytes
            self._rate.adapt(self._faults.end_pass(), resident)
        robbed = np.zeros(len(self._workload.thread_nodes))
        robbed[self._scanner.scans % len(robbed)] = marked * self._settings.mark_ns
        self._workload.stall(np.zeros_like(robbed), robbed_ns=robbed)

    def _take_faults(self) -> None:
        done = self._workload.accesses()
        totals = self._workload.totals()
        touched = done - self._done if len(totals) > 1 else np.array([(done - self._done).sum()])
        self._queue.touches += np.divide(touched, totals, out=np.zeros_like(totals), where=totals > 0)
        self._done = done
        for row, units, serial in self._queue.due():
            self._faults.take(row, units, serial, self._settings.fault_ns, self._allowed_pages())

    def _allowed_pages(self) -> int:
        """That may still migrate now, where there is a limit; it is saved up for a tenth of a second."""
        most = self._settings.most_bytes_per_s / self._machine.page_bytes
        if not most:
            return 1 << 62
        now_ns = self._machine.timeline.now_ns
        moved = self._faults.moved_pages
        self._allowance = min(most / 10, self._allowance + most * (now_ns - self._refilled_ns) / 1e9)
        self._refilled_ns = now_ns
        self._allowance -= moved
        self._faults.moved_pages = 0
        return max(0, int(self._allowance))
