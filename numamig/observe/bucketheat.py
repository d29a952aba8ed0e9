"""How hot each bucket of the page map is: which share of samples found its pages touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import TellsHeat
from numamig.model.process import Region
from numamig.observe.pagemap import Grid

__all__ = ["BucketHeat", "look_at_heat"]


@dataclass(frozen=True, slots=True)
class BucketHeat:
    """As ``TellsHeat.heat`` answers, by bucket."""

    grid: Grid
    heat: NDArray[np.float32]
    """From 0 to 1, NaN where it is not known; shape (buckets,)."""

    def for_grid(self, grid: Grid) -> NDArray[np.float32]:
        """The same for other buckets, not known where there were others; shape (buckets of the other grid,)."""
        if grid is self.grid:
            return self.heat
        heat = np.full(len(grid), np.nan, np.float32)
        if grid.bucket_bytes == self.grid.bucket_bytes and len(self.grid):
            at = np.minimum(np.searchsorted(self.grid.start, grid.start), len(self.grid) - 1)
            same = self.grid.start[at] == grid.start
            heat[same] = self.heat[at[same]]
        return heat


def look_at_heat(backend: TellsHeat, pid: int, grid: Grid, regions: Sequence[Region]) -> BucketHeat:
    """Watch the pages of all buckets for a while: half a second or so, and ten at most.

    Of a bucket that several regions share, the pages of the first are watched.

    :param regions: those that the grid was made of
    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look, or somebody else uses what the kernel has for that.
    """
    heat = np.full(len(grid), np.nan, np.float32)
    if len(grid) and int(grid.region.max()) < len(regions):
        low = np.array([region.start for region in regions], np.uint64)[grid.region]
        high = np.array([region.end for region in regions], np.uint64)[grid.region]
        start = np.maximum(grid.start, low)
        end = np.minimum(grid.start + np.uint64(grid.bucket_bytes), high)
        some = start < end
        heat[some] = backend.heat(pid, start[some], end[some])
    return BucketHeat(grid, heat)
