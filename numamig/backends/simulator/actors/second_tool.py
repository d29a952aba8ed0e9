"""A second tool: another program that moves pages of a process at given times, and asks nobody.

It makes the same system call, with the rights of the scenario's caller, in the machine's time and not in anybody's
step. With it one sees that outcomes stay true where somebody else moves pages meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MovePagesCall, MovePagesReturn
from numamig.backends.simulator.calls import acted_out, acted_out_whole
from numamig.backends.simulator.memory import ABSENT, Flag
from numamig.backends.simulator.remap_victims import Victims
from numamig.model.process import RegionKind

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.process import SimProcess

__all__ = ["Naming", "SecondTool"]

_LARGE = int(Flag.LARGE)


class Naming(StrEnum):
    """How it says which pages are to move."""

    LIST = "list"
    """Page by page, so many in a call."""
    RANGE = "range"
    """Each region as a virtual range, in a call of its own. Only the kernels of 2004 take that."""
    PROCESS = "process"
    """All of the process in one call; the same."""


@dataclass(slots=True)
class SecondTool:
    """The actor. All times in ns."""

    pid: int
    to: int
    """Node."""
    at_ns: int = 0
    """When it begins, from its start on."""
    every_ns: int | None = None
    """And again; None: once."""
    source: tuple[int, ...] | None = None
    """Nodes whose pages it moves; None: all others."""
    pages: int | None = None
    """Pages of a list that it moves each time, at most; None: all."""
    call_pages: int = 512
    """Pages of a list in a call."""
    naming: Naming = Naming.LIST
    calls: int = 0
    """That it has begun."""
    answers: list[MovePagesReturn] = field(default_factory=list)
    """What its calls returned."""

    def start(self, machine: Machine) -> object:
        return machine.timeline.process(self._run(machine))

    def _run(self, machine: Machine) -> Generator[simpy.Event, object, None]:
        yield machine.timeline.timeout(self.at_ns)
        while True:
            began_ns = machine.timeline.now_ns
            process = machine.processes.get(self.pid)
            if process is None:
                return
            move = self._move_list if self.naming is Naming.LIST else self._move_whole
            yield from move(machine, process)
            if self.every_ns is None:
                return
            # Times that it was busy at are passed over.
            passed_ns = machine.timeline.now_ns - began_ns
            yield machine.timeline.timeout(max(1, self.every_ns - passed_ns % self.every_ns))

    def _move_list(self, machine: Machine, process: SimProcess) -> Generator[simpy.Event, object, None]:
        address = self._addresses(process)[: self.pages]
        for first in range(0, len(address), self.call_pages):
            some = address[first : first + self.call_pages]
            nodes = np.full(len(some), self.to, np.int32)
            call = MovePagesCall(self.pid, some, nodes, MPOL_MF_MOVE)
            self.calls += 1
            self.answers.append((yield from acted_out(machine, call)))

    def _move_whole(self, machine: Machine, process: SimProcess) -> Generator[simpy.Event, object, None]:
        for region in process.regions if self.naming is Naming.RANGE else [None]:
            if region is None:
                victims = Victims.all_of(machine, process, self.to)
            else:
                victims = Victims.in_range(machine, process, region.start, region.end, self.to)
            self.calls += 1
            self.answers.append((yield from acted_out_whole(machine, process, victims)))

    def _addresses(self, process: SimProcess) -> NDArray[np.uint64]:
        """Folios that are not where they should be, by their first addresses."""
        found = [np.zeros(0, np.uint64)]
        for region in process.regions:
            if region.kind is RegionKind.SPECIAL:
                continue
            backing = region.backing
            here = slice(region.first, region.first + region.pages)
            node, flags = backing.node[here], backing.flags[here]
            wanted = (node != ABSENT) & (node != self.to) & (flags & int(Flag.ZERO) == 0)
            if self.source is not None:
                wanted &= np.isin(node, self.source)
            page = np.flatnonzero(wanted)
            page = page[(flags[page] & _LARGE == 0) | ((page + region.first) % backing.folio_pages == 0)]
            found.append((region.start + page * backing.page_bytes).astype(np.uint64))
        return np.concatenate(found)
