"""Folios of several pages as the kernel takes them: mapped in whole or in part, shared or not, worn, split.

Source: mm/rmap.c, mm/huge_memory.c (deferred_split_folio), mm/migrate.c (migrate_pages_batch); what 6.12 makes of
folios that are mapped entry by entry was observed by the differential test (docs/kernel.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.kernels import KernelProfile
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimRegion
from numamig.model.process import RegionKind

__all__ = ["mapped_huge", "mapped_huge_between", "pinned", "shared", "split_remnants", "wear"]

# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_LARGE_FLAG = int(Flag.LARGE)
_PINNED_FLAG = int(Flag.PINNED)


def mapped_huge(region: SimRegion, index: NDArray[np.int64], kernel: KernelProfile) -> NDArray[np.bool_]:
    """Whether pages of the backing are mapped by one entry for all of a huge page: where all of it is mapped."""
    backing, huge = region.backing, np.zeros(len(index), bool)
    size = backing.folio_pages
    large = backing.flags[index] & _LARGE_FLAG != 0
    if not kernel.huge_pages or size < kernel.huge_pages or not large.any():
        return huge
    heads, which = np.unique(index[large] - index[large] % size, return_inverse=True)
    whole = (heads >= region.first) & (heads + size <= region.first + region.pages)
    whole &= backing.count_mapped(heads) == size
    huge[large] = whole[which]
    return huge


def mapped_huge_between(region: SimRegion, low: int, high: int, kernel: KernelProfile) -> NDArray[np.bool_]:
    """The same of all pages from ``low`` to ``high`` of the region's own."""
    backing, size = region.backing, region.backing.folio_pages
    low, high = low + region.first, high + region.first
    if not kernel.huge_pages or size < kernel.huge_pages or not (backing.flags[low:high] & _LARGE_FLAG).any():
        return np.zeros(high - low, bool)
    first, last = low // size, -(-high // size)
    start, end = max(first * size, region.first), min(last * size, region.first + region.pages)
    there = (backing.flags[start:end] & _LARGE_FLAG != 0) & (backing.node[start:end] != ABSENT)
    block = np.arange(start, end) // size - first
    whole = np.bincount(block, weights=there, minlength=last - first) == size
    found: NDArray[np.bool_] = whole[block[low - start : high - start]]
    return found


def shared(
    kernel: KernelProfile, region: SimRegion, index: NDArray[np.int64], head: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each page counts as mapped by several processes."""
    backing = region.backing
    several: NDArray[np.bool_] = backing.sharers[index] > 1
    if kernel.guesses_sharing and region.kind is not RegionKind.HUGETLB:
        large = backing.flags[index] & _LARGE_FLAG != 0
        if large.any():
            sharers = backing.blocks(backing.sharers, head[large])
            several[large] = (sharers[:, 0] > 1) | (sharers.sum(1, dtype=np.int64) > backing.folio_pages)
    return several


def pinned(backing: Backing, index: NDArray[np.int64], head: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether somebody holds a reference to any page of the folio of each."""
    held: NDArray[np.bool_] = backing.flags[index] & _PINNED_FLAG != 0
    large = backing.flags[index] & _LARGE_FLAG != 0
    if large.any():
        held[large] = (backing.blocks(backing.flags, head[large]) & _PINNED_FLAG != 0).any(axis=1)
    return held


def wear(kernel: KernelProfile, region: SimRegion, index: NDArray[np.int64]) -> None:
    """Taken down entry by entry, a large folio is partly mapped for a moment, and is remembered as such."""
    backing = region.backing
    large = backing.flags[index] & _LARGE_FLAG != 0
    if region.kind is RegionKind.HUGETLB or not large.any():
        return
    index = index[large]
    heads = index - index % backing.folio_pages
    sharers = backing.blocks(backing.sharers, heads)
    by_one_entry = mapped_huge(region, index, kernel) & (sharers == sharers[:, :1]).all(axis=1)
    backing.worn.update(heads[~by_one_entry].tolist())


def split_remnants(backing: Backing, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Split the large folios that are no longer mapped in whole, or are taken for such.

    :returns: what is to be moved then, all pieces of them included, and how many they were
    """
    large = backing.flags[index] & _LARGE_FLAG != 0
    heads = np.unique(index[large] - index[large] % backing.folio_pages)
    if len(heads):
        worn = np.isin(heads, list(backing.worn))
        heads = heads[worn | ~backing.blocks(backing.sharers, heads).all(axis=1)]
    if not len(heads):
        return index, 0
    pieces = backing.whole(heads)
    backing.worn.difference_update(heads.tolist())
    backing.flags[pieces] &= np.uint8(255 & ~_LARGE_FLAG)
    gone = large & np.isin(index - index % backing.folio_pages, heads)
    return np.concatenate((index[~gone], pieces)), len(heads)
