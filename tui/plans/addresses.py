"""Ranges of addresses as a set of pages: what is in one, what is left without another, which cells they touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.ranges import joined
from numamig.model.pages import clip_ranges
from numamig.model.process import Region, RegionKind

__all__ = ["Addresses", "covers", "in_regions", "ranges_of", "size_of", "touched", "without"]

Addresses = tuple[tuple[int, int], ...]
"""Ranges [start, end), ascending, that neither overlap nor touch."""


def ranges_of(regions: Iterable[Region]) -> Addresses:
    """Of regions, joined where they touch."""
    return tuple(joined((region.start, region.end) for region in regions))


def in_regions(regions: Sequence[Region], start: int, end: int) -> Addresses:
    """What of [start, end) can hold pages that move."""
    parts = (region for region in regions if region.kind is not RegionKind.SPECIAL and region.start < end)
    return tuple(clip_ranges(ranges_of(region for region in parts if region.end > start), start, end))


def without(ranges: Addresses, gone: Addresses) -> Addresses:
    """What is left when others are taken out."""
    left = list(ranges)
    for start, end in gone:
        left = [part for a, b in left for part in ((a, min(b, start)), (max(a, end), b)) if part[0] < part[1]]
    return tuple(left)


def covers(ranges: Addresses, wanted: Addresses) -> bool:
    """Whether all of what is wanted, which is something, is among them."""
    return bool(wanted) and not without(wanted, ranges)


def size_of(ranges: Addresses) -> int:
    """Bytes in all."""
    return sum(end - start for start, end in ranges)


def touched(ranges: Addresses, starts: NDArray[np.uint64], size: int) -> NDArray[np.bool_]:
    """Which buckets of ``size`` bytes have an address in common with the ranges; shape of ``starts``."""
    if not ranges:
        return np.zeros(len(starts), np.bool_)
    low, high = np.array(ranges, np.uint64).T
    at = np.minimum(np.searchsorted(high, starts, side="right"), len(low) - 1)
    found: NDArray[np.bool_] = (low[at] < starts + np.uint64(size)) & (high[at] > starts)
    return found
