"""How often each page of a region is accessed, in relation to the region's others: a byte a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.memory import Backing
from numamig.backends.simulator.scenario.processes import HeatEntry
from numamig.backends.simulator.scenario.streams import Key, Stream

__all__ = ["warm"]

_CHUNK = 1 << 18
_RANKS = 1 << 16
_HOTTEST = 255
_FRACTION = 256
"""Heat is worked out in 256ths, and rounded by chance, so that the sum over many pages is right."""
_HEAD = 1 << 6
"""The hottest of 65,536 ranks: taken as equally hot, as much as they are together, since 255 steps are not enough."""


def warm(backing: Backing, entry: HeatEntry, key: Key) -> None:
    """Give the pages of a region their heat: 255 the hottest; 0 hardly ever.

    :param key: of the draws
    """
    pages = len(backing.node)
    table = _zipf(entry.zipf, pages) if entry.zipf is not None else _two(entry.hot or 0.0, entry.of_accesses or 0.0)
    ranks, fractions = Stream(key, "heat"), Stream(key, "fraction")
    if backing.heat is None:
        backing.heat = np.zeros(pages, np.uint8)
    for first in range(0, pages, _CHUNK):
        count = min(_CHUNK, pages - first)
        if entry.where == "scattered":
            rank = ranks.shorts(count).astype(np.intp)
        else:
            place = np.arange(first, first + count, dtype=np.int64)
            rank = (place if entry.where == "first" else pages - 1 - place) * _RANKS // pages
        backing.heat[first : first + count] = table.take(rank) + fractions.bytes_(count) >> 8


def _two(hot: float, of_accesses: float) -> NDArray[np.uint16]:
    """By rank: hot pages and others, so that the hot ones get their part of the accesses."""
    table = np.empty(_RANKS, np.uint16)
    ranks = round(hot * _RANKS)
    ratio = of_accesses / ranks * (_RANKS - ranks) / (1 - of_accesses) if of_accesses < 1 else np.inf
    table[:ranks] = _HOTTEST * _FRACTION
    table[ranks:] = round(_HOTTEST * _FRACTION / ratio)
    return table


def _zipf(exponent: float, pages: int) -> NDArray[np.uint16]:
    """By rank: heat falls with the power of the rank, down from a head of one 1,024th of the pages."""
    # The middle of a rank's pages stands for them; the head is summed in steps that are single pages at first.
    head_pages = max(1, pages * _HEAD // _RANKS)
    steps = np.unique(np.geomspace(1, head_pages, min(head_pages, 4096)).astype(np.int64))
    widths = np.diff(np.append(steps, head_pages + 1))
    middles = steps + (widths - 1) / 2
    head = float((middles**-exponent * widths).sum()) / head_pages
    tail = ((np.arange(_HEAD, _RANKS) + 0.5) / _RANKS * pages) ** -exponent
    heat = np.concatenate((np.full(_HEAD, head), tail)) / max(head, tail[0])
    return np.asarray(np.rint(heat * _HOTTEST * _FRACTION), np.uint16)
