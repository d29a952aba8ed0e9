"""Pages that are marked and wait for somebody to touch them, in the order in which that will be.

Touches come at random, at rates that change whenever pages move. What does not change is how often a page is touched in
relation to the others: so the draw for a page says *after how many touches of a page of weight 1* it is its turn, and
the queue is sorted once, whatever the rates become. Closed form: no page has an event of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.chance import draws
from numamig.backends.simulator.ieee import log1p
from numamig.backends.simulator.memory import Backing, Flag

__all__ = ["MarkQueue", "Units", "drawn_for"]

_MOST_GROUPS = 16
_LARGE = int(Flag.LARGE)


@dataclass(slots=True)
class Units:
    """Pages of one backing that are marked as one: base pages and large folios; arrays of shape (units,)."""

    backing: Backing
    head: NDArray[np.int64]
    """First page that was marked."""
    pages: NDArray[np.int64]
    """How many were."""

    @classmethod
    def of(cls, backing: Backing, index: NDArray[np.int64]) -> tuple[Units, NDArray[np.intp]]:
        """
        :param index: ascending pages of the backing
        :returns: the units, and where in ``index`` each begins
        """
        large = backing.flags[index] & _LARGE != 0
        folio = np.where(large, index // backing.folio_pages, -1 - index)
        starts = np.flatnonzero(np.diff(folio, prepend=folio[:1] - 1))
        return cls(backing, index[starts], np.diff(starts, append=len(index))), starts

    def __len__(self) -> int:
        return len(self.head)

    def __getitem__(self, some: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Units:
        return Units(self.backing, self.head[some], self.pages[some])

    def index(self) -> NDArray[np.int64]:
        """Their pages as they are now, large folios whole."""
        large = self.backing.flags[self.head] & _LARGE != 0
        heads = np.unique(self.head[large] // self.backing.folio_pages * self.backing.folio_pages)
        return np.concatenate((self.head[~large], self.backing.whole(heads))) if len(heads) else self.head


@dataclass(slots=True)
class _Group:
    """Units of one backing and one part of the workload, in the order of their turns."""

    row: int
    turn: NDArray[np.float64]
    units: Units
    serial: NDArray[np.int32]
    next: int = 0
    whole: int = field(init=False)
    """How many there were."""

    def __post_init__(self) -> None:
        self.whole = len(self.turn)


@dataclass(slots=True)
class MarkQueue:
    """What one process has marked.

    :param rows: into how many parts the workload divides its memory
    """

    rows: int
    touches: NDArray[np.float64] = field(init=False)
    """Shape (rows,): how often a page of weight 1 has been touched so far, in the mean."""
    _groups: list[_Group] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.touches = np.zeros(self.rows)

    def add(
        self,
        units: Units,
        row: NDArray[np.intp],
        weight: NDArray[np.float64],
        drawn: NDArray[np.float64],
        serial: int,
    ) -> None:
        """Marked just now.

        :param row: shape (units,): whose they are
        :param weight: shape (units,): how often they are touched; what never is, never has its turn
        :param drawn: shape (units,): in [0, 1)
        :param serial: of the marking, so that a mark that was taken off and made again is told from the first
        """
        touched = weight > 0
        for part in np.unique(row[touched]).tolist():
            mine = np.flatnonzero(touched & (row == part))
            turn = self.touches[part] - log1p(-drawn[mine]) / weight[mine]
            order = np.argsort(turn, kind="stable")
            self._groups.append(_Group(part, turn[order], units[mine[order]], np.full(len(mine), serial, np.int32)))
        if len(self._groups) > _MOST_GROUPS:
            self._merge()

    def due(self) -> list[tuple[int, Units, NDArray[np.int32]]]:
        """Whose turn has come: part, units in their order, and serials."""
        found = []
        for group in self._groups:
            end = int(np.searchsorted(group.turn, self.touches[group.row], side="right"))
            if end > group.next:
                some = slice(group.next, end)
                found.append((group.row, group.units[some], group.serial[some]))
                group.next = end
        self._groups = [group for group in self._groups if group.next < len(group.turn)]
        return found

    def next_ns(self, touches_per_ns: NDArray[np.float64], parts: int) -> float:
        """After how many ns one of ``parts`` of a group will have had its turn, or what is left; infinity for never.

        :param touches_per_ns: shape (rows,)
        """
        soonest = float("inf")
        for group in self._groups:
            rate = float(touches_per_ns[group.row])
            if rate > 0:
                last = min(group.next + -(-group.whole // parts), len(group.turn)) - 1
                soonest = min(soonest, (float(group.turn[last]) - float(self.touches[group.row])) / rate)
        return soonest

    def _merge(self) -> None:
        """Few groups instead of many: what is left of them."""
        together: dict[tuple[int, int], list[_Group]] = {}
        for group in self._groups:
            together.setdefault((group.row, id(group.units.backing)), []).append(group)
        self._groups = []
        for (row, _), groups in together.items():
            turn = np.concatenate([g.turn[g.next :] for g in groups])
            order = np.argsort(turn, kind="stable")
            head = np.concatenate([g.units.head[g.next :] for g in groups])[order]
            pages = np.concatenate([g.units.pages[g.next :] for g in groups])[order]
            serial = np.concatenate([g.serial[g.next :] for g in groups])[order]
            self._groups.append(_Group(row, turn[order], Units(groups[0].units.backing, head, pages), serial))


def drawn_for(seed: int, stream: int, pid: int, first: int, units: Units, attempt: int) -> NDArray[np.float64]:
    """Draws for units of a process.

    :param first: number of the virtual page at which the backing begins
    """
    return draws(seed, stream, units.head + np.int64((pid << 40) + first), attempt)
