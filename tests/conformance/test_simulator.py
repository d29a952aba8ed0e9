"""The conformance suite on the simulated machine, as each of the kernels that it can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS, Locking
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, HUGE_PAGES, Backing, Flag, SimNode
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.model.process import RegionKind
from numamig.testing import Area, ConformanceSuite


@dataclass
class SimTarget:
    machine: Machine
    process: SimProcess

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def page_bytes(self) -> int:
        return self.machine.page_bytes

    @property
    def starts(self) -> tuple[int, ...]:
        return tuple(region.start for region in self.process.regions)

    def pages_by_node(self, area: int) -> dict[int, int]:
        backing = self.process.regions[area].backing
        nodes, counts = np.unique(backing.node[backing.node != ABSENT], return_counts=True)
        return {int(n): int(c) for n, c in zip(nodes, counts, strict=True)}

    def end(self) -> None:
        self.machine.end(self.process.pid)


class SimWorkshop:
    can_pin = True
    kernel_thread = 2
    unused_pid = 99_999

    def __init__(self, kernel: str) -> None:
        nodes = [SimNode(n, (n,), 1 << 18, 1 << 18) for n in (0, 1, 4)] + [SimNode(5, (9,), 0, 0)]
        self.machine = Machine(nodes, kernel=KERNELS[kernel])
        self.can_make_huge = bool(self.machine.kernel.huge_pages)
        self.moves_in_runs = self.machine.kernel.locking is Locking.PER_TABLE
        self.machine.add(SimProcess(2, "kthreadd", kernel_thread=True))
        self.backend = SimulatorBackend(self.machine)

    def start(self, *areas: Area) -> SimTarget:
        process = SimProcess(1000 + len(self.machine.processes), "workload")
        address = 0x7F0000000000
        for area in areas:
            backing = Backing.untouched(area.pages, page_bytes=self.machine.page_bytes)
            flags = {"read": Flag.ZERO, "huge": Flag.LARGE}.get(area.state, 0)
            if area.state != "untouched":
                self.machine.place(backing, 0, np.full(area.pages, area.node, np.uint8), flags)
            backing.flags[list(area.pinned)] |= np.uint8(Flag.PINNED)
            kind = RegionKind.SHMEM if area.state == "shared" else RegionKind.ANON
            process.regions.append(SimRegion(address, backing, kind))
            if area.state == "shared":
                self.machine.add(SimProcess(process.pid + 500, "sharer", regions=[SimRegion(address, backing, kind)]))
            address += -(-(area.pages + 1) // HUGE_PAGES) * HUGE_PAGES * self.machine.page_bytes
        return SimTarget(self.machine, self.machine.add(process))


class TestSimulator(ConformanceSuite):
    @pytest.fixture(params=list(KERNELS))
    def workshop(self, request: pytest.FixtureRequest) -> SimWorkshop:
        return SimWorkshop(request.param)
