"""Which pages of a process other processes map too, as far as the original tells: all of them, or a sample.

A probe costs about two microseconds on a real machine, so there is a limit to how many are made. Beyond it each probe
speaks for the folios up to the next one, since what is shared comes in stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimRegion

__all__ = ["MOST_PROBES", "SharingSeen", "take_sharing"]

MOST_PROBES = 1 << 17
"""A quarter of a second on a real machine: every page of a process of 512 MiB."""
_TOGETHER = 4096
_LARGE = np.uint8(Flag.LARGE)

AskShared = Callable[[NDArray[np.uint64]], NDArray[np.int8]]
"""As ``TellsSharing.shared_pages`` of one process."""


class SharingSeen(NamedTuple):
    """How sharing was looked at."""

    folios: int
    probed: int
    """Folios that were looked at; each of the others is taken to be as the one before."""
    shared_pages: int
    """Base pages that are taken to be shared."""

    @property
    def estimated(self) -> bool:
        return self.probed < self.folios


def take_sharing(ask: AskShared, extents: Sequence[SimRegion], most_probes: int = MOST_PROBES) -> SharingSeen:
    """Write into each extent how often its pages are mapped: by one process, or by two.

    :param most_probes: one more for each extent may be made
    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look
    """
    pages = sum(extent.backing.resident_pages for extent in extents)
    stride = max(1, -(-pages // most_probes))
    taken = [_take(ask, extent, stride) for extent in extents]
    return SharingSeen(*(sum(each[n] for each in taken) for n in range(3)))


def _take(ask: AskShared, extent: SimRegion, stride: int) -> SharingSeen:
    """Of one extent.

    :param stride: base pages for each probe, so that large folios are looked at sooner than small ones
    """
    backing = extent.backing
    folios = np.flatnonzero(_first_of_folio(backing))
    large = backing.flags[folios] & _LARGE != 0
    size = np.where(large, backing.folio_pages, 1)
    first_page = np.cumsum(size) - size
    chosen = np.diff(first_page // stride, prepend=-1) > 0
    probes = folios[chosen]
    offset = extent.start - extent.first * backing.page_bytes
    said = np.zeros(len(probes), bool)
    for first in range(0, len(probes), _TOGETHER):
        here = slice(first, first + _TOGETHER)
        said[here] = ask((offset + probes[here] * backing.page_bytes).astype(np.uint64)) > 0
    shared = said[np.cumsum(chosen) - 1]
    if not shared.any():
        return SharingSeen(len(folios), len(probes), 0)
    sharers = np.ones(len(backing.node), np.uint8)
    sharers[folios[shared & ~large]] = 2
    if large.any():
        sharers.reshape(-1, backing.folio_pages)[folios[shared & large] // backing.folio_pages] = 2
    backing.sharers = sharers
    shared_pages = int(np.count_nonzero((sharers == 2) & (backing.node != ABSENT)))
    return SharingSeen(len(folios), len(probes), shared_pages)


def _first_of_folio(backing: Backing) -> NDArray[np.bool_]:
    """Whether each page is present and the first of its folio."""
    there: NDArray[np.bool_] = backing.node != ABSENT
    large = there & (backing.flags & _LARGE != 0)
    if large.any():
        # One that is not mapped from its first page on is probed nowhere, and counts as nobody else's.
        large[:: backing.folio_pages] = False
        there &= ~large
    return there
