"""Backends around other backends. ``ReadOnly``: what looks is handed on, what moves or touches pages is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, Backend, Capabilities, Hold, MovePagesCall, MovePagesReturn
from numamig.clock import Clock
from numamig.errors import RefusedError
from numamig.model.pages import PageRuns, Ranges
from numamig.model.process import Process, Region
from numamig.model.topology import NodeCounters, Topology

__all__ = ["ReadOnly"]

_LOOKING = (
    *("boot_id", "diagnose", "folio_cost", "free_bytes", "hazards", "health", "heat", "huge_room", "memory_image"),
    *("page_flags", "policies", "process_facts", "shared_pages", "workings"),
)
"""Optional abilities that only look. To clear marks is none of them: the process would fault its pages."""


class ReadOnly:
    """Has every ability of the backend inside that only looks; one that would move a page raises ``RefusedError``."""

    def __init__(self, inside: Backend) -> None:
        self._inside = inside
        for name in _LOOKING:
            if hasattr(inside, name):
                # On the object itself: abilities are asked for with isinstance, which goes by what is there.
                setattr(self, name, getattr(inside, name))

    @property
    def name(self) -> str:
        return self._inside.name

    @property
    def capabilities(self) -> Capabilities:
        return self._inside.capabilities

    @property
    def clock(self) -> Clock:
        return self._inside.clock

    def topology(self) -> Topology:
        return self._inside.topology()

    def processes(self) -> Sequence[Process]:
        return self._inside.processes()

    def process(self, pid: int) -> Process:
        return self._inside.process(pid)

    def hold(self, process: Process) -> Hold:
        return self._inside.hold(process)

    def regions(self, pid: int) -> Sequence[Region]:
        return self._inside.regions(pid)

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        return self._inside.page_runs(pid, ranges)

    def move_pages(
        self, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
    ) -> MovePagesReturn:
        """Only to ask, with ``nodes=None``.

        :raises RefusedError: it would move.
        """
        self._demand_only_asked(pid, nodes)
        return self._inside.move_pages(pid, addresses, None, flags)

    def move_pages_together(self, calls: Sequence[MovePagesCall]) -> list[MovePagesReturn]:
        """
        :raises RefusedError: one of them would move.
        """
        for call in calls:
            self._demand_only_asked(call.pid, call.nodes)
        return self._inside.move_pages_together(calls)

    def node_counters(self) -> NodeCounters:
        return self._inside.node_counters()

    def _demand_only_asked(self, pid: int, nodes: NDArray[np.int32] | None) -> None:
        if nodes is not None:
            raise RefusedError(f"the {self.name} backend is only looked at here: no page of it moves", pid=pid)
