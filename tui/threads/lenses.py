"""Lenses: what the cells of the page map say besides their node, one letter or step a cell, worked out with numpy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.stayed import StayedSeen
from numamig.model.outcome import Outcome
from numamig.model.pageflags import PageFlag
from numamig.model.process import Region, RegionKind
from numamig.observe.bucketheat import BucketHeat
from numamig.observe.flagshares import FlagShares
from numamig.observe.pagemap import PageMap
from tui.style.outcomes import OUTCOME_GLYPHS

__all__ = ["HEAT_STEPS", "LETTERS", "RARE", "Lens", "LensData", "heat_steps", "mark_words", "marks_of", "outcome_of"]


class Lens(StrEnum):
    """In the order of the key."""

    HOME = "home"
    """Pages at home are dark, strangers glow."""
    NODE = "node"
    """All nodes in full colour."""
    KIND = "kind"
    """Which pages are huge, shared, pinned, busy, of files."""
    STAY = "stay"
    """Which pages would not move, or have not, and why."""
    HEAT = "heat"
    """How often pages are touched."""

    def after(self, way: int) -> Lens:
        """The next, or the one before."""
        order = list(Lens)
        return order[(order.index(self) + way) % len(order)]


_PINNED, _BUSY, _SHARED, _HUGETLB, _HUGE, _FILE = range(1, 7)
_STAYED = 16
"""From here on: outcomes."""
LETTERS: Final = {
    _PINNED: "p",
    _BUSY: "b",
    _SHARED: "s",
    _HUGETLB: "H",
    _HUGE: "h",
    _FILE: "f",
    **{_STAYED + outcome: letter for outcome, letter in OUTCOME_GLYPHS.items()},
}
"""Mark → its letter."""
_WORDS: Final = {
    _PINNED: "pinned",
    _BUSY: "busy",
    _SHARED: "shared",
    _HUGETLB: "hugetlb",
    _HUGE: "huge",
    _FILE: "file",
}
RARE: Final = _BUSY
"""The last of the marks of single pages: one of them is worth a letter wherever it is."""
_MOSTLY: Final = 0.5
"""Share of a bucket's pages from which it is called shared, huge, or of a file."""
HEAT_STEPS: Final = 5
"""The first is for pages that were touched in no sample."""


@dataclass(frozen=True, slots=True)
class LensData:
    """What was looked at for a lens, each by itself: None where it was not, or cannot be told."""

    flags: FlagShares | None = None
    stayed: StayedSeen | None = None
    heat: BucketHeat | None = None
    read_s: float | None = None
    """When, by the console's clock."""
    missing: str = ""
    """What cannot be told, and what would help, in one line."""


def marks_of(lens: Lens, page_map: PageMap, regions: tuple[Region, ...], data: LensData) -> NDArray[np.int64]:
    """The mark of each bucket, 0 for none; shape (buckets,). What hinders a move goes before what a page is."""
    grid = page_map.grid
    marks = np.zeros(len(grid), np.int64)
    if lens in (Lens.NODE, Lens.HEAT) or not len(grid):
        return marks
    flags = data.flags.for_grid(grid) if data.flags is not None else None
    if lens is Lens.KIND:
        kinds = np.array([region.kind for region in regions] or [RegionKind.ANON], object)
        of = kinds[np.minimum(grid.region, len(kinds) - 1)]
        present = page_map.counts.sum(axis=1)
        marks[(of == RegionKind.FILE) & (present > 0)] = _FILE
        huge = page_map.huge >= np.maximum(1, present) * _MOSTLY
        if flags is not None:
            huge |= flags.share(PageFlag.HUGE) >= _MOSTLY
        marks[huge] = _HUGE
        marks[(of == RegionKind.HUGETLB) & (present > 0)] = _HUGETLB
    if flags is not None:
        marks[flags.share(PageFlag.SHARED) >= _MOSTLY] = _SHARED
        marks[(flags.share(PageFlag.BUSY) > 0) | (flags.share(PageFlag.WRITEBACK) > 0)] = _BUSY
        marks[flags.share(PageFlag.PINNED) > 0] = _PINNED
    if lens is Lens.STAY and data.stayed is not None:
        outcome = data.stayed.for_grid(grid)
        stayed = np.isin(outcome, [int(each) for each in OUTCOME_GLYPHS if each is not Outcome.ALREADY_THERE])
        marks[stayed] = _STAYED + outcome[stayed]
    return marks


def heat_steps(heat: NDArray[np.float32]) -> NDArray[np.int64]:
    """1 for pages that are never touched, up to ``HEAT_STEPS``; 0 where it is not known. Shape as given."""
    steps = np.ceil(np.nan_to_num(heat) * (HEAT_STEPS - 1)).astype(np.int64) + 1
    known: NDArray[np.int64] = np.where(np.isnan(heat), 0, np.clip(steps, 1, HEAT_STEPS))
    return known


def outcome_of(mark: int) -> Outcome | None:
    """Of a mark that says what a job met with; None of others."""
    return Outcome(mark - _STAYED) if mark >= _STAYED else None


def mark_words(mark: int) -> str:
    """What a letter means."""
    outcome = outcome_of(mark)
    return _WORDS[mark] if outcome is None else outcome.words
