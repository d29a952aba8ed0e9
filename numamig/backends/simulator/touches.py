"""Who touches pages while they are under migration: drawn for each page and each thread that works on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.chance import draws
from numamig.backends.simulator.memory import Backing

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.workload import Workload

__all__ = ["Touch", "Touches"]

_TOUCH_STREAM, _BUSY_STREAM = 2004, 2005
_THREADS = 1 << 12


@dataclass(frozen=True, slots=True)
class Touch:
    """A thread will touch a page."""

    workload: Workload
    thread: int
    after_ns: int
    """Its being unmapped."""


class Touches:
    """Of the pages of one list, as the workloads are at work now."""

    def __init__(self, machine: Machine, names: NDArray[np.int64], serial: int) -> None:
        """
        :param names: shape (pages,), numbers that name the pages
        :param serial: of the list: another list has other draws
        """
        self._machine, self._names, self._serial = machine, names, serial
        self.per_ns = np.zeros(len(names))
        """Shape (pages,): how often each is touched, by all threads together."""
        self._parts: list[tuple[Workload, NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []

    def look_at(self, backing: Backing, cells: NDArray[np.intp], index: NDArray[np.int64]) -> None:
        """Find out how often pages are touched.

        :param cells: shape (pages,), which pages of the list they are
        :param index: shape (pages,), pages of the backing
        """
        for workload in self._machine.workloads:
            if not workload.running or all(backing is not each for each in workload.backings):
                continue
            page, thread, part = workload.touch_parts(backing, index)
            per_ns = part / workload.period_ns()[thread]
            np.add.at(self.per_ns, cells[page], per_ns)
            self._parts.append((workload, cells[page], thread, per_ns))

    def within(
        self, window_ns: NDArray[np.float64], leave_out: Callable[[Workload, int], bool]
    ) -> dict[int, list[Touch]]:
        """The first touch by each thread, for pages that somebody touches while they are unmapped.

        :param window_ns: shape (pages,), for how long that is
        """
        found: dict[int, list[Touch]] = {}
        for number, (workload, cells, threads, per_ns) in enumerate(self._parts):
            names = self._names[cells] * _THREADS + threads
            drawn = draws(self._machine.seed, _TOUCH_STREAM + 10 * number, names, self._serial)
            after = np.divide(-np.log1p(-drawn), per_ns, out=np.full_like(per_ns, np.inf), where=per_ns > 0)
            for hit in np.flatnonzero(after < window_ns[cells]).tolist():
                thread = int(threads[hit])
                if not leave_out(workload, thread):
                    found.setdefault(int(cells[hit]), []).append(Touch(workload, thread, int(after[hit])))
        return found

    def held(self, cell: int, within_ns: float, attempt: int) -> bool:
        """Whether a thread that has just touched a page still holds a reference to it."""
        per_ns = float(self.per_ns[cell])
        if not per_ns:
            return False
        key = self._serial << 8 | attempt
        drawn = draws(self._machine.seed, _BUSY_STREAM, self._names[cell : cell + 1], key)
        return bool(drawn[0] < -np.expm1(-per_ns * within_ns))

    def held_at_first(self, within_ns: float) -> NDArray[np.bool_]:
        """``held`` of every page at its first attempt; shape (pages,)."""
        drawn = draws(self._machine.seed, _BUSY_STREAM, self._names, self._serial << 8 | 1)
        return np.asarray(drawn < -np.expm1(-self.per_ns * within_ns))
