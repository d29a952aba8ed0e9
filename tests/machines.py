"""Small simulated machines for tests, and a back door to where their pages are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, PAGE, Backing, Flag, SimNode
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.model.process import RegionKind

__all__ = ["PID", "START", "add_process", "machine", "pages_by_node"]

PID = 4711
START = 0x7F0000000000


def machine(*free_pages: int, kernel: str = "linux-6.12", caller: Caller = Caller()) -> SimulatorBackend:
    """A machine whose nodes 0, 1, … have so much free memory; by default three with 1 GiB each."""
    nodes = [SimNode(n, (n,), pages, pages) for n, pages in enumerate(free_pages or (1 << 18,) * 3)]
    return SimulatorBackend(Machine(nodes, kernel=KERNELS[kernel], caller=caller))


def add_process(
    backend: SimulatorBackend,
    *layouts: list[int] | NDArray[np.uint8],
    pid: int = PID,
    flags: dict[int, Flag] | None = None,
    huge: bool = False,
    **about: object,
) -> list[Backing]:
    """A process with one region for each layout: nodes of its pages (255: never touched). Flags are for the first."""
    process = SimProcess(pid, "workload", **about)  # type: ignore[arg-type]
    backings = []
    address = START
    for layout in layouts:
        backing = Backing.untouched(len(layout))
        backend.machine.place(backing, 0, np.asarray(layout, np.uint8), Flag.LARGE if huge else 0)
        process.regions.append(SimRegion(address, backing, RegionKind.ANON))
        address = -(-(address + len(layout) * PAGE + PAGE) // (2 << 20)) * (2 << 20)
        backings.append(backing)
    for page, flag in (flags or {}).items():
        backings[0].flags[page] |= np.uint8(flag)
    backend.machine.add(process)
    return backings


def pages_by_node(*backings: Backing) -> dict[int, int]:
    """Present pages on each node, from the page tables."""
    every = np.concatenate([backing.node for backing in backings])
    nodes, counts = np.unique(every[every != ABSENT], return_counts=True)
    return {int(n): int(c) for n, c in zip(nodes, counts, strict=True)}
