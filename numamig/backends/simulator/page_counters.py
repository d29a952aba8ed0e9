"""An actor of 2004: counters of the hardware tell which pages are used from afar, and those are pulled there.

The thread on linux-ia64 says what it gained and what it cost, and not how it counted: that a counter catches one access
of so many, at random, and that faulty ones miss a part, is assumed (docs/simulator.md).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, fields

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.base import UNWRITTEN
from numamig.backends.simulator.chance import draws
from numamig.backends.simulator.costs import Number, Parameter
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT
from numamig.backends.simulator.process import SimRegion
from numamig.backends.simulator.remap import remap
from numamig.backends.simulator.remap_victims import Victims
from numamig.backends.simulator.workload import Workload

__all__ = ["CounterSettings", "PageCounters"]

_STREAM = 2003
_THREADS = 1 << 12


def _parameter(value: Number, unit: str, source: str) -> Number:
    return field(default=value, metadata={"symbol": "", "unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class CounterSettings:
    """How it counts and decides."""

    accesses_per_sample: float = _parameter(
        6_320.0, "accesses", "fitted: 92 s in all where moving costs nothing (the author's estimate)"
    )
    missed: float = _parameter(0.70, "1", "fitted: 106 s in all as built")
    """Part of the samples that the counters lose."""
    decide_ns: float = _parameter(34_800.0, "ns/page", "fitted: 1-2 s of deciding in all; set to 1.5 s")
    """From a sample to the decision to move its page: reading counters, sorting, asking where it is."""
    interval_ns: int = _parameter(5_000_000_000, "ns", "assumed")
    """Between two looks at the counters."""

    def provenance(self) -> list[Parameter]:
        """Every parameter with its unit and its source."""
        return [Parameter(each.name, value=getattr(self, each.name), **each.metadata) for each in fields(self)]


class PageCounters:
    """Watches all workloads of a machine."""

    def __init__(self, settings: CounterSettings = CounterSettings(), *, free: bool = False) -> None:
        """
        :param free: deciding and moving take no time, and the counters miss nothing
        """
        self.settings, self.free = settings, free
        self.deciding_ns = self.moving_ns = 0
        self.chosen_pages = 0
        self._looks = 0

    def start(self, machine: Machine) -> simpy.Process:
        """Begin, now; it ends when all workloads have."""
        return machine.timeline.process(self._run(machine))

    def _run(self, machine: Machine) -> Generator[simpy.Event, object, None]:
        done = {id(workload): workload.accesses() for workload in machine.workloads}
        while any(workload.running for workload in machine.workloads):
            yield machine.timeline.timeout(self.settings.interval_ns)
            self._looks += 1
            for workload in list(machine.workloads):
                now = workload.accesses()
                since, done[id(workload)] = now - done.get(id(workload), np.zeros_like(now)), now
                if workload.running:
                    for region in workload.process.regions:
                        if any(region.backing is each for each in workload.backings):
                            yield from self._act(machine, workload, region, since)

    def _act(
        self, machine: Machine, workload: Workload, region: SimRegion, accesses: NDArray[np.float64]
    ) -> Generator[simpy.Event, object, None]:
        """Decide on one region, and move.

        :param accesses: shape (threads,), since the last look
        """
        timeline, process = machine.timeline, workload.process
        index, wanted = self._sampled(machine, workload, region, accesses)
        self.chosen_pages += len(index)
        if self.free:
            for node in np.unique(wanted).tolist():
                machine.relocate(region.backing, index[wanted == node], node)
            return
        deciding_ns = round(len(index) * self.settings.decide_ns)
        self.deciding_ns += deciding_ns
        robbed = np.zeros(len(workload.thread_nodes))
        robbed[self._looks % len(robbed)] = deciding_ns  # it takes the CPU of one thread, and has its node's list then
        workload.stall(np.zeros(len(robbed)), 0.0, robbed)
        yield timeline.timeout(deciding_ns)
        for node in np.unique(wanted).tolist():
            mine = (index[wanted == node] - region.first).astype(np.uint64)
            addresses = np.uint64(region.start) + mine * np.uint64(region.backing.page_bytes)
            victims = Victims(addresses, np.full(len(mine), node, np.int32))
            began_ns = timeline.now_ns
            yield from remap(machine, process, victims, np.full(len(mine), UNWRITTEN, np.int32))
            self.moving_ns += timeline.now_ns - began_ns

    def _sampled(
        self, machine: Machine, workload: Workload, region: SimRegion, accesses: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Pages that a counter has caught being used from afar, and the nodes that used them."""
        mapped = region.backing.node[region.first : region.first + region.pages]
        every = region.first + np.flatnonzero(mapped != ABSENT)
        page, thread, part = workload.touch_parts(region.backing, every)
        here = workload.thread_nodes[thread]
        far = region.backing.node[every[page]] != here
        page, thread, part, here = page[far], thread[far], part[far], here[far]
        seen = 1.0 if self.free else 1.0 - self.settings.missed
        expected = part * accesses[thread] * seen / self.settings.accesses_per_sample
        names = (region.start // machine.page_bytes + every[page]) * _THREADS + thread
        drawn = draws(machine.seed, _STREAM, names, self._looks)
        caught = np.flatnonzero(drawn < -np.expm1(-expected))
        # Where several threads were caught at one page, the likeliest to have come first has it.
        order = caught[np.lexsort((drawn[caught] / np.maximum(expected[caught], 1e-300), page[caught]))]
        pages, first = np.unique(page[order], return_index=True)
        return every[pages], here[order][first].astype(np.int32)
