"""Threads that fault on pages under migration in 2004: what they queue for, and what they lose by it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.simulator.kernels import Locking
from numamig.backends.simulator.locks import MeasuredLock
from numamig.backends.simulator.touches import Touch
from numamig.backends.simulator.workload import Workload

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.process import SimProcess

__all__ = ["Sleepers"]


class Sleepers:
    """Of one list."""

    def __init__(self, machine: Machine, process: SimProcess, lock: MeasuredLock, cpu: int, serial: int) -> None:
        """
        :param cpu: node of the CPU that executes; where all its CPUs have work, a thread there loses the time
        """
        self._machine, self._process, self._lock = machine, process, lock
        self._touches: dict[int, list[Touch]] = {}
        self._unlocked: dict[int, simpy.Event] = {}
        self._asleep: list[simpy.Process] = []
        self._lost_ns: dict[int, NDArray[np.float64]] = {}
        self._longest_ns = 0
        self._executing = self._displaced(cpu, serial)

    def expect(self, touches: dict[int, list[Touch]]) -> None:
        """
        :param touches: by the page of the list
        """
        self._touches = touches

    def is_executing(self, workload: Workload, thread: int) -> bool:
        return self._executing == (workload, thread)

    def come(self, cell: int) -> bool:
        """A page has just been unmapped: whoever is going to touch it will fault. Whether anybody is."""
        touches = self._touches.pop(cell, None)
        if not touches:
            return False
        timeline = self._machine.timeline
        self._unlocked[cell] = timeline.event()
        self._asleep += [timeline.process(self._fault(touch, self._unlocked[cell])) for touch in touches]
        return True

    def wake(self, cell: int) -> None:
        """The page is mapped again, and unlocked."""
        self._unlocked.pop(cell).succeed()

    def settle(self, took_ns: int) -> None:
        """The list is done: what it has cost threads, as soon as all of them are awake."""
        self._machine.timeline.process(self._settle(took_ns))

    def _fault(self, touch: Touch, unlocked: simpy.Event) -> Generator[simpy.Event, object, None]:
        machine, timeline, workload = self._machine, self._machine.timeline, touch.workload
        yield timeline.timeout(touch.after_ns)
        if touch.thread in workload.asleep or not workload.running:
            return
        workload.asleep.add(touch.thread)
        began_ns = timeline.now_ns
        costs = machine.remapping.settings.costs
        lock = machine.remapping.locks.of(workload.process)
        if machine.kernel.locking is not Locking.HOLD or lock is not self._lock:
            # It finds the page locked, sleeps on it, and comes for the lock again: the ping-pong.
            yield unlocked
            yield timeline.timeout(round(costs.wake_ns))
        yield from lock.take()
        yield timeline.timeout(round(costs.fault_ns))
        lock.release()
        workload.asleep.discard(touch.thread)
        lost_ns = timeline.now_ns - began_ns
        lost = self._lost_ns.setdefault(id(workload), np.zeros(len(workload.thread_nodes)))
        lost[touch.thread] += lost_ns
        self._longest_ns = max(self._longest_ns, lost_ns)
        workload.waits += 1

    def _settle(self, took_ns: int) -> Generator[simpy.Event, object, None]:
        if self._asleep:
            yield self._machine.timeline.all_of(self._asleep)
        for workload in list(self._machine.workloads):
            threads = len(workload.thread_nodes)
            lost = self._lost_ns.get(id(workload))
            robbed = np.zeros(threads)
            if self._executing is not None and self._executing[0] is workload:
                robbed[self._executing[1]] = took_ns
            if lost is not None or robbed.any():
                workload.stall(np.zeros(threads) if lost is None else lost, self._longest_ns, robbed)

    def _displaced(self, cpu: int, serial: int) -> tuple[Workload, int] | None:
        """The thread whose CPU executes; None where one is idle there. Lists take turns."""
        there = [
            (workload, thread)
            for workload in self._machine.workloads
            if workload.running
            for thread in np.flatnonzero(workload.thread_nodes == cpu).tolist()
        ]
        return there[serial % len(there)] if there and len(there) >= len(self._machine.nodes[cpu].cpus) else None
