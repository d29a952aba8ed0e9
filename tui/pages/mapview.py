"""All that a picture of the page map depends on, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from numamig.model.process import Region
from numamig.observe.pagemap import PageMap
from tui.pages.mapcells import with_lens
from tui.pages.maplayout import MapLayout
from tui.plans.addresses import Addresses
from tui.style.look import Look
from tui.threads.lenses import Lens, LensData, heat_steps, marks_of

__all__ = ["FLASH_S", "LABEL", "SHARE", "Drawn", "MapView", "lens_cells", "plus_minus", "region_at"]

LABEL = 9
"""Width of the row labels, a blank included."""
SHARE = 5
"""Width of the remote share of a row, where there is room for it."""
FLASH_S = 0.25


@dataclass(frozen=True, slots=True)
class Drawn:
    """Counted pages made ready for drawing; arrays of shape (buckets,)."""

    page_map: PageMap
    codes: NDArray[np.int64]
    """``mapcells.cell_codes``."""
    changed_at: NDArray[np.float64]
    """When the bucket last began to flash."""
    cells: NDArray[np.int64]
    """The codes as they are seen through the lens: ``mapcells.with_lens``."""

    def doubt(self, look: Look, address: int) -> tuple[str, str]:
        """What stands before an estimated count, and how far it may be off; both empty where a bucket was counted."""
        where = self.span(address, 1)
        error = 0.0 if where is None or self.page_map.error is None else float(self.page_map.error[where][0])
        return (look.glyphs.unread, f" {plus_minus(look)}{100 * error:.0f}%") if error else ("", "")

    def span(self, start: int, buckets: int) -> slice | None:
        """Where some neighbouring buckets are in the arrays; None if they were not looked at."""
        grid = self.page_map.grid
        at = int(np.searchsorted(grid.start, np.uint64(start)))
        last = at + buckets - 1
        if last >= len(grid) or int(grid.start[at]) != start:
            return None
        return slice(at, last + 1) if int(grid.start[last]) == start + (buckets - 1) * grid.bucket_bytes else None


def lens_cells(
    codes: NDArray[np.int64], page_map: PageMap, lens: Lens, regions: tuple[Region, ...], data: LensData
) -> NDArray[np.int64]:
    """Codes as they are seen through a lens."""
    marks = marks_of(lens, page_map, regions, data)
    steps = np.zeros(len(codes), np.int64)
    if lens is Lens.HEAT and data.heat is not None:
        steps = heat_steps(data.heat.for_grid(page_map.grid))
    return with_lens(codes, marks, steps)


@dataclass(frozen=True, slots=True)
class MapView:
    """One picture."""

    layout: MapLayout
    regions: tuple[Region, ...]
    home: frozenset[int]
    drawn: Drawn | None
    """At the zoom of the layout."""
    overview: Drawn | None
    top: int
    """First row in view."""
    rows: int
    cursor: int | None
    """Address of a bucket."""
    spot: int | None
    next_batch: tuple[int, int]
    now_s: float
    page_size: int = 4096
    lens: Lens = Lens.HOME
    data: LensData = field(default_factory=LensData)
    marked: Addresses = ()
    """What is marked: of cells while some are lit, only these count."""
    range: Addresses = ()
    """The range that is open."""
    lit: NDArray[np.bool_] | None = None
    """Which buckets hold pages of the class that is looked for, shape (buckets,) as ``drawn``; None: there is none."""

    @property
    def tint(self) -> frozenset[int]:
        """Nodes whose pages are dark."""
        return self.home if self.lens in (Lens.HOME, Lens.KIND) else frozenset()

    def counts(self, stretches: list[tuple[int, int]]) -> tuple[dict[int, int], int]:
        """Pages by node, and huge ones among them, of some buckets: (first address, how many)."""
        parts: dict[int, int] = {}
        huge = 0
        for start, buckets in stretches:
            where = self.drawn.span(start, buckets) if self.drawn is not None else None
            if self.drawn is None or where is None:
                continue
            page_map = self.drawn.page_map
            huge += int(page_map.huge[where].sum())
            for node, count in zip((*page_map.nodes, -1), page_map.counts[where].sum(axis=0).tolist(), strict=True):
                if count:
                    parts[node] = parts.get(node, 0) + count
        return parts, huge


def plus_minus(look: Look) -> str:
    return "+-" if look.ascii else "±"


def region_at(regions: tuple[Region, ...], start: int, end: int) -> Region | None:
    """The first region with an address in [start, end)."""
    return next((r for r in regions if r.start < end and start < r.end), None)
