"""Which pages: what of a process's memory a request means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.request import Request
from numamig.model.pages import UNKNOWN_NODE, Ranges, clip_ranges
from numamig.model.process import Region

__all__ = ["from_sources", "select_regions"]


def select_regions(regions: Sequence[Region], request: Request) -> list[tuple[Region, int, int]]:
    """Each region that the request means, with the part of it that is meant: (region, start, end)."""
    selected: list[tuple[Region, int, int]] = []
    for region in regions:
        if not region.matches(request.kinds):
            continue
        whole: Ranges = [(region.start, region.end)]
        parts = whole if request.within is None else clip_ranges(request.within, region.start, region.end)
        selected.extend((region, start, end) for start, end in parts)
    return selected


def from_sources(node: NDArray[np.int16], request: Request) -> NDArray[np.bool_]:
    """Which of the nodes a request wants emptied.

    Pages on a node that is not known are meant only where every node is meant: nothing is moved on a guess.
    """
    wanted: NDArray[np.bool_] = node != request.target
    if request.sources is not None:
        wanted &= np.isin(node, request.sources) & (node != UNKNOWN_NODE)
    return wanted
