"""What can be told of a single page besides where it is: whether others map it, who holds it, whether it is large."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

__all__ = ["PageFlag", "PageFlags"]


class PageFlag(IntFlag):
    """State of a page, as far as it matters to whoever wants to move it."""

    SHARED = 1
    """Others map it too, by the count that the kernel goes by when it is to move the page."""
    PINNED = 2
    """Somebody holds a reference, and it will not move before that is given back."""
    BUSY = 4
    """Locked, or in nobody's list: it cannot be isolated just now."""
    WRITEBACK = 8
    """Being written to its device."""
    MLOCKED = 16
    """Stays in memory; moves as any other."""
    HINTED = 32
    """Marked by NUMA balancing."""
    HUGE = 64
    """Part of a huge page."""
    POISONED = 128
    """Taken out of use by the kernel, for it is broken."""

    @property
    def word(self) -> str:
        """As people read it."""
        return (self.name or "").lower()


@dataclass(frozen=True, slots=True)
class PageFlags:
    """Of single pages; arrays of shape (pages,)."""

    flags: NDArray[np.uint16]
    """``PageFlag`` bits; 0 where they are not known."""
    known: NDArray[np.uint16]
    """Which of them the machine could tell; 0 where no page is present."""
