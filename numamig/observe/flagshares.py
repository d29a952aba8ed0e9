"""How many pages of each bucket of the page map are shared, pinned, busy …: from a look at some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import TellsPageFlags
from numamig.model.pageflags import PageFlag
from numamig.model.process import Region
from numamig.observe.pagemap import Grid
from numamig.observe.placement import movable
from numamig.observe.probes import Space, spread

__all__ = ["FlagShares", "look_at_flags"]

PROBES: Final = 64
"""In each bucket."""
_MOST_PROBES: Final = 1 << 15
"""In all. One takes some four microseconds where pages do not lie side by side."""
_FLAGS: Final = tuple(PageFlag)


@dataclass(frozen=True, slots=True)
class FlagShares:
    """Shares of pages by bucket and flag."""

    grid: Grid
    shares: NDArray[np.float32]
    """Of the present pages that were looked at; shape (buckets, flags). NaN where the flag is not known, or no present
    page was found."""
    told: PageFlag
    """What this machine tells at all."""
    whole: NDArray[np.bool_]
    """Buckets of which every page was looked at; shape (buckets,)."""

    def share(self, flag: PageFlag) -> NDArray[np.float32]:
        """Of one flag, shape (buckets,); NaN where it is not known. No comparison with NaN is true."""
        return self.shares[:, _FLAGS.index(flag)]

    def of(self, bucket: int) -> dict[PageFlag, float]:
        """Flags of one bucket that some of its pages have → share of them."""
        row = self.shares[bucket].tolist()
        return {flag: share for flag, share in zip(_FLAGS, row, strict=True) if share > 0}

    def for_grid(self, grid: Grid) -> FlagShares:
        """The same for other buckets of the same size: what was not looked at is not known."""
        if grid is self.grid:
            return self
        shares = np.full((len(grid), len(_FLAGS)), np.nan, np.float32)
        whole = np.zeros(len(grid), np.bool_)
        if grid.bucket_bytes == self.grid.bucket_bytes and len(self.grid):
            at = np.minimum(np.searchsorted(self.grid.start, grid.start), len(self.grid) - 1)
            same = self.grid.start[at] == grid.start
            shares[same], whole[same] = self.shares[at[same]], self.whole[at[same]]
        return FlagShares(grid, shares, self.told, whole)


def look_at_flags(
    backend: TellsPageFlags,
    pid: int,
    grid: Grid,
    regions: Sequence[Region],
    page_size: int,
    *,
    probes: int = PROBES,
    most: int = _MOST_PROBES,
    seed: int = 0,
) -> FlagShares:
    """Look at up to ``probes`` pages of each bucket, fewer where that would be more than ``most`` in all.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    space = Space.of(movable(regions), page_size)
    first = space.below(grid.start)
    pages = space.below(grid.start + np.uint64(grid.bucket_bytes)) - first
    each = max(1, min(probes, most // max(1, len(grid))))
    asked = np.minimum(pages, each)
    asked[most // each :] = 0
    where, bucket = spread(first, pages, asked, np.random.default_rng(seed))
    seen = backend.page_flags(pid, space.address(where))
    shares = np.full((len(grid), len(_FLAGS)), np.nan, np.float32)
    told = int(np.bitwise_or.reduce(seen.known)) if len(seen.known) else 0
    for number, flag in enumerate(_FLAGS):
        if told & flag:
            known = np.bincount(bucket[seen.known & flag != 0], minlength=len(grid))
            found = np.bincount(bucket[seen.known & seen.flags & flag != 0], minlength=len(grid))
            np.divide(found, known, out=shares[:, number], where=known > 0, casting="unsafe")
    return FlagShares(grid, shares, PageFlag(told), asked == pages)
