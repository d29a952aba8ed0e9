"""What became of each page that a job chose, and the counts that always add up."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_ACCESS", "Outcome", "OutcomeCounts"]


class Outcome(IntEnum):
    """The end of one base page in a job; exactly one each. A 2 MiB huge page counts 512."""

    MOVED = 0
    """On the target now, by this job."""
    ALREADY_THERE = 1
    """On the target before this job could move it."""
    BUSY = 2
    """Could not be isolated, or somebody held a reference. May succeed later."""
    SHARED = 3
    """Other processes map it too, and moving shared pages was not asked for."""
    ABSENT = 4
    """Nothing present there any more: swapped out, discarded."""
    UNMAPPED = 5
    """No mapping there any more."""
    HINTED = 6
    """Present, but marked by NUMA balancing and so invisible to move_pages on this kernel."""
    NO_ROOM = 7
    """The target had no free memory for it."""
    REFUSED = 8
    """The kernel refused the call: rights, cpuset, node."""
    GONE = 9
    """The process ended first."""
    NOT_TRIED = 10
    """Chosen, but the job ended before its turn."""

    @property
    def key(self) -> str:
        """As in JSON: "already_there"."""
        return self.name.lower()

    @property
    def words(self) -> str:
        """As people read it: "already there"."""
        return self.key.replace("_", " ")

    @property
    def why(self) -> str:
        """Why a page stayed; "" where it is on the target."""
        return _WHY_AND_HELP.get(self, ("", ""))[0]

    @property
    def help(self) -> str:
        """What would move it yet; "" where nothing would."""
        return _WHY_AND_HELP.get(self, ("", ""))[1]

    @property
    def reason(self) -> str:
        """Both, in a line."""
        return ": ".join(part for part in (self.why, self.help) if part)


_WHY_AND_HELP = {
    Outcome.BUSY: ("held or locked by somebody", "again later"),
    Outcome.SHARED: ("other processes map them", "--shared moves them too"),
    Outcome.ABSENT: ("swapped out or discarded meanwhile", ""),
    Outcome.UNMAPPED: ("unmapped meanwhile", ""),
    Outcome.HINTED: (
        "marked by NUMA balancing",
        "clearing marks takes CAP_SYS_PTRACE, and no userfaultfd open",
    ),
    Outcome.NO_ROOM: ("the target is full", "free some memory there, or move to another node"),
    Outcome.REFUSED: ("the kernel refused", "cpuset, rights or node"),
    Outcome.GONE: ("the process ended", ""),
    Outcome.NOT_TRIED: ("the job ended before their turn", "numamig resume goes on"),
}
NO_ACCESS = (
    "may not be accessed (PROT_NONE), which this kernel does not see",
    "they stay; newer ones (6.12) move them",
)
"""Why pages are called ``Outcome.HINTED`` in regions that nobody may access, and what would help."""

_NO_PAGES = (0,) * len(Outcome)


class OutcomeCounts(Mapping[Outcome, int]):
    """Base pages by outcome. Immutable; adding two gives a third."""

    __slots__ = ("_pages",)

    def __init__(self, pages: NDArray[np.int64] | tuple[int, ...] = _NO_PAGES) -> None:
        self._pages: tuple[int, ...] = pages if isinstance(pages, tuple) else tuple(pages.tolist())

    @classmethod
    def of(cls, counts: Mapping[Outcome, int]) -> OutcomeCounts:
        return cls(tuple(counts.get(outcome, 0) for outcome in Outcome))

    @classmethod
    def moved(cls, pages: int) -> OutcomeCounts:
        """So many pages moved, and nothing else: of nearly every batch."""
        return cls((pages, *_NO_PAGES[1:]))

    def __getitem__(self, outcome: Outcome) -> int:
        return self._pages[outcome]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(Outcome)

    def __len__(self) -> int:
        return len(Outcome)

    def __add__(self, other: OutcomeCounts) -> OutcomeCounts:
        return OutcomeCounts(tuple(map(operator.add, self._pages, other._pages)))

    def __sub__(self, other: OutcomeCounts) -> OutcomeCounts:
        return OutcomeCounts(tuple(map(operator.sub, self._pages, other._pages)))

    def __repr__(self) -> str:
        return f"OutcomeCounts({', '.join(f'{o.key}={n}' for o, n in self.items() if n)})"

    @property
    def total(self) -> int:
        """Pages in all: equal to the pages chosen, or the ledger is wrong."""
        return sum(self._pages)

    def as_dict(self) -> dict[str, int]:
        """Every outcome by its key, zeros too."""
        return {outcome.key: count for outcome, count in self.items()}
