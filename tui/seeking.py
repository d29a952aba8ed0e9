"""Finding pages on the map: which cells hold pages of a class, and where the next run of such cells begins."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from numamig.model.process import Region
from numamig.observe.pagemap import PageMap
from tui.addresses import ranges_of, touched
from tui.choice import Only

__all__ = ["holding", "meant_regions", "on_nodes"]


def meant_regions(only: Only, regions: Sequence[Region]) -> list[Region]:
    """Regions that can hold such pages."""
    return [
        region
        for region in regions
        if region.matches(only.kinds)
        and (not only.paths or any(fnmatchcase(region.path, pattern) for pattern in only.paths))
    ]


def on_nodes(page_map: PageMap, nodes: Sequence[int]) -> NDArray[np.bool_]:
    """Which buckets hold pages on any of these nodes; shape (buckets,)."""
    columns = [column for column, node in enumerate(page_map.nodes) if node in nodes]
    found: NDArray[np.bool_] = page_map.counts[:, columns].sum(axis=1) > 0
    return found


def holding(only: Only, page_map: PageMap, regions: Sequence[Region]) -> NDArray[np.bool_]:
    """Which buckets hold pages of a class, shape (buckets,).

    Who maps a page is not known here, nor, where pages were estimated, which of them are huge: such buckets count.
    """
    counts, grid = page_map.counts, page_map.grid
    found = counts.sum(axis=1) > 0 if only.sources is None else on_nodes(page_map, only.sources)
    if only.kinds or only.paths:
        found = found & touched(ranges_of(meant_regions(only, regions)), grid.start, grid.bucket_bytes)
    if only.huge is not None:
        whole = counts.sum(axis=1)
        known = page_map.huge if only.huge else whole - page_map.huge
        estimated = np.zeros(len(grid), np.bool_) if page_map.error is None else page_map.error > 0
        found = found & ((known > 0) | estimated)
    return found
