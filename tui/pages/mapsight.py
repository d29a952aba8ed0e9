"""What was seen of a process' pages, made ready for drawing: through a lens, and with what has changed since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.model.process import Region
from tui.pages.mapcells import cell_codes, changed_share
from tui.pages.mapview import FLASH_S, Drawn, lens_cells
from tui.threads.lenses import Lens, LensData
from tui.threads.snapshots import FlagsSeen, HeatSeen, MapSeen

__all__ = ["MapSight"]

_FLASH_AGAIN_S = 1.0
_FLASH_FROM = 0.05

Changed = NDArray[np.bool_] | None
"""Which buckets look different now, shape (buckets,); None: any may."""


class MapSight:
    """The latest snapshots of one process. What takes one answers which cells have changed."""

    def __init__(self) -> None:
        self.lens = Lens.HOME
        self.seen: MapSeen | None = None
        self.drawn: Drawn | None = None
        self.overview: Drawn | None = None
        self._overview_seen: MapSeen | None = None
        self._flags: FlagsSeen | None = None
        self._heat: HeatSeen | None = None
        self.data = LensData()
        """What the present lens has."""

    def forget(self) -> None:
        """Another process; the lens stays."""
        self.seen = self.drawn = self.overview = self._overview_seen = self._flags = self._heat = None
        self.data = LensData()

    def _data_now(self) -> LensData:
        flags, heat = self._flags, self._heat
        if self.lens is Lens.HEAT:
            if heat is None:
                return LensData()
            return LensData(None, None, heat.heat, heat.taken_s, heat.problem)
        if self.lens is Lens.NODE or flags is None:
            return LensData()
        missing = "" if self.lens is Lens.HOME else flags.problem
        return LensData(flags.shares, flags.stayed, None, flags.taken_s, missing)

    def look_through(self, lens: Lens, regions: tuple[Region, ...]) -> None:
        """Another lens."""
        self.lens = lens
        self.data = self._data_now()
        self._see_again(regions)

    def take(self, seen: MapSeen, regions: tuple[Region, ...], now_s: float) -> Changed:
        """Compare with what was shown: cells whose pages came from another node flash, at most once a second."""
        before, old, page_map = self.drawn, self.seen, seen.page_map
        codes = cell_codes(page_map)
        changed_at = np.full(len(codes), -np.inf)
        changed: Changed = None
        comparable = (
            before is not None
            and old is not None
            and old.page_map.grid.bucket_bytes == page_map.grid.bucket_bytes
            and np.array_equal(old.page_map.grid.start, page_map.grid.start)
        )
        cells = lens_cells(codes, page_map, self.lens, regions, self.data)
        if before is not None and old is not None and comparable:
            changed_at = before.changed_at
            changed = before.cells != cells
            if old.page_map.estimated == page_map.estimated:  # else it is our view that changed
                moved = changed_share(old.page_map, page_map) >= _FLASH_FROM
                moved &= now_s - changed_at >= _FLASH_AGAIN_S
                changed_at = np.where(moved, now_s, changed_at)
                changed = changed | moved
        self.seen, self.drawn = seen, Drawn(page_map, codes, changed_at, cells)
        return changed

    def take_overview(self, seen: MapSeen) -> bool:
        """Whether it is another one."""
        if seen is self._overview_seen:
            return False
        self._overview_seen, codes = seen, cell_codes(seen.page_map)
        self.overview = Drawn(seen.page_map, codes, np.full(len(codes), -np.inf), codes)
        return True

    def has(self, flags: FlagsSeen | None, heat: HeatSeen | None) -> bool:
        """Whether these are what was taken last."""
        return flags is self._flags and heat is self._heat

    def take_lens(self, flags: FlagsSeen | None, heat: HeatSeen | None, regions: tuple[Region, ...]) -> Changed:
        """What was looked at besides."""
        self._flags, self._heat = flags, heat
        self.data = self._data_now()
        return self._see_again(regions)

    def flashing(self, now_s: float) -> Changed:
        """Cells that flash, or have just done so."""
        return np.less(now_s - self.drawn.changed_at, 2 * FLASH_S) if self.drawn is not None else _NOTHING

    def _see_again(self, regions: tuple[Region, ...]) -> Changed:
        drawn = self.drawn
        if drawn is None:
            return _NOTHING
        cells = lens_cells(drawn.codes, drawn.page_map, self.lens, regions, self.data)
        self.drawn = Drawn(drawn.page_map, drawn.codes, drawn.changed_at, cells)
        return np.not_equal(drawn.cells, cells)


_NOTHING = np.zeros(0, np.bool_)
