"""The page map: every page of a process in address order, a bucket a cell; cells flash when their pages have moved."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from textual import events
from textual.geometry import Region as Area
from textual.strip import Strip

from numamig.migrate.snapshot import JobSnapshot
from numamig.model.pageflags import PageFlag
from numamig.model.process import Region
from numamig.observe.pagemap import PageMap as Pages
from numamig.units import format_count
from tui.pages import mapdraw, mapwords
from tui.pages.mapsight import Changed, MapSight
from tui.pages.mapview import LABEL, Drawn, MapView, region_at
from tui.pages.pointing import PointedMap
from tui.plans.choice import Marks, Only
from tui.style.look import Look, Spans
from tui.threads.lenses import Lens
from tui.threads.snapshots import FlagsSeen, HeatSeen, MapSeen, ProcessSeen, RegionsSeen, Standing
from tui.words.present import short_size

__all__ = ["PageMap"]

_STALE_S = 15.0
_FOOT = 2
"""Readout and legend."""


class PageMap(PointedMap):
    """Draws what is in the window; asks for what is not there yet."""

    def __init__(self, look: Look, marks: Marks) -> None:
        super().__init__(look, marks)
        self._standing = Standing.HERE
        self._problem = ""
        self._sight = MapSight()
        self._strips: dict[int, tuple[mapdraw.Row, Strip]] = {}
        """Line → its row, and how that was drawn."""
        self._frame: tuple[int, ...] = ()
        """What decides which lines are rows of the map, when all was drawn last."""
        self._view_now: MapView | None = None
        """The present picture, until something changes: whatever does so refreshes."""
        self._next = (0, 0)
        """Addresses of the next batch of a job."""
        self._age_s = 0.0
        self._read_ago = 0
        """For how many seconds what the lens shows has been known."""
        self._now_s = 0.0

    # What is shown

    @property
    def selected(self) -> Region | None:
        """The region under the cursor."""
        window = self.window
        if window.layout is None or window.cursor is None:
            return None
        return region_at(window.regions, window.cursor, window.cursor + window.layout.bucket_bytes)

    @property
    def drawn(self) -> Drawn | None:
        return self._sight.drawn

    def shared(self, page_map: Pages) -> NDArray[np.float32] | None:
        flags = self._sight.data.flags
        return None if flags is None else flags.for_grid(page_map.grid).share(PageFlag.SHARED)

    @property
    def overview(self) -> Drawn | None:
        return self._sight.overview

    def show(
        self,
        process: ProcessSeen | None,
        regions: RegionsSeen | None,
        maps: tuple[MapSeen | None, MapSeen | None],
        now_s: float,
    ) -> None:
        """New snapshots; those of another process are passed over.

        :param maps: what is in view, and all of it coarsely
        """
        identity, before = process.identity if process is not None else None, self.process
        self.process, self._now_s = process, now_s
        if identity != (before.identity if before is not None else None):
            self._forget()
        elif process is not None and before is not None and process.home != before.home:
            self.refresh()
        if regions is not None and regions.identity == identity:
            if (self._standing, self._problem) != (regions.standing, regions.problem):
                self._standing, self._problem = regions.standing, regions.problem
                self.refresh()
            if self.window.set_regions(regions.regions):
                self.view(changed=True)
        seen, overview = (m if m is not None and m.identity == identity else None for m in maps)
        sight = self._sight
        if seen is not None and seen is not sight.seen:
            self._refresh_cells(sight.take(seen, self.window.regions, now_s))
            self._refresh_title()  # it says how exact this is
            self.seek_on()
            if self.only != Only():
                self.refresh()  # a cell may hold other pages and look the same
            self._refresh_foot()  # the counts of the readout may have changed in any case
        elif (flashing := sight.flashing(now_s)) is not None and flashing.any():
            self._refresh_cells(flashing)
        if overview is not None and sight.take_overview(overview):
            self.refresh(Area(0, 1, self.size.width, 1))
        self._grow_old(now_s)

    def show_lens(self, flags: FlagsSeen | None, heat: HeatSeen | None) -> None:
        """What was looked at besides where pages are; that of another process is passed over."""
        identity = self.process.identity if self.process is not None else None
        flags = flags if flags is not None and flags.identity == identity else None
        heat = heat if heat is not None and heat.identity == identity else None
        if not self._sight.has(flags, heat):
            self._refresh_cells(self._sight.take_lens(flags, heat, self.window.regions))
            self._refresh_foot()

    @property
    def lens(self) -> Lens:
        return self._sight.lens

    def look_through(self, lens: Lens) -> None:
        """Another lens."""
        self._sight.look_through(lens, self.window.regions)
        self.refresh()

    def show_next(self, job: JobSnapshot | None) -> None:
        """Where the next batch of a job will come from."""
        following = (0, 0)
        pid = self.process.process.pid if self.process is not None else None
        if job is not None and not job.state.ended and job.plan.process.pid == pid:
            following = (job.cursor, job.cursor + job.batch_pages * job.plan.page_size)
        if following != self._next:
            self._next = following
            self.refresh()

    def show_spot(self, spot: int | None) -> None:
        """Only this node in colour."""
        self.spot = spot
        self.refresh()

    def _forget(self) -> None:
        self.window.forget()
        self._sight.forget()
        self._standing, self._problem = Standing.HERE, ""
        self.refresh()

    def _refresh_cells(self, changed: Changed) -> None:
        """Only the rows that look different."""
        layout, drawn = self.window.layout, self._sight.drawn
        if changed is None or layout is None or drawn is None:
            self.refresh()
            return
        if not changed.any():
            return
        rows = layout.rows_of(self.window.top, self.window.rows)
        grid = drawn.page_map.grid
        if len(rows) != len(changed) or grid.bucket_bytes != layout.bucket_bytes:
            self.refresh()  # it was looked at before the view went elsewhere
            return
        first = 1 + (0 if self.window.fits else 1) - self.window.top
        for row in np.unique(rows[changed]).tolist():
            self.refresh(Area(0, row + first, self.size.width, 1))

    def _refresh_title(self) -> None:
        self.refresh(Area(0, 0, self.size.width, 1))

    def _refresh_foot(self) -> None:
        self.refresh(Area(0, self.size.height - _FOOT, self.size.width, _FOOT))

    def _grow_old(self, now_s: float) -> None:
        seen = self._sight.seen
        age = now_s - seen.taken_s if seen is not None else 0.0
        if age > _STALE_S or self._age_s > _STALE_S:
            self._refresh_title()
        read_s = self._sight.data.read_s if self.lens not in (Lens.HOME, Lens.NODE) else None
        ago = 0 if read_s is None else int(now_s - read_s)
        if ago != self._read_ago:
            self._read_ago = ago
            self._refresh_foot()
        self._age_s = age

    def on_resize(self, event: events.Resize) -> None:
        room = self.size.width - LABEL
        cells = next((cells for cells in (128, 64, 32) if cells <= room), 16)
        self.view(changed=self.window.resize(cells, self.size.height - 1 - _FOOT))

    # Drawing

    def title(self, width: int) -> Spans:
        look, layout = self.look, self.window.layout
        left = self.named("Map")
        if self.process is not None:
            process = self.process.process
            left.append((f"  {look.shown(process.name)} {process.pid}", look.label))
        if layout is not None:
            pages = layout.bucket_bytes // self.window.page_size
            words = f"cell {short_size(layout.bucket_bytes)} = {format_count(pages)} page{'s' * (pages > 1)}"
            left.append((f" {look.glyphs.dot} {words} {look.glyphs.dot} lens {self.lens}", look.label))
        if self._standing is not Standing.HERE:
            right = (f"{self._standing.value}, seen {self._age_s:.0f} s ago", look.bold)
        elif self._age_s > _STALE_S:
            right = (f"read {self._age_s:.0f} s ago", look.bold)
        else:
            drawn = self._sight.drawn
            right = (mapwords.exactness(look, drawn) if drawn is not None else "", look.label)
        return self.both_ends(left, [*self.picked(), right], width)

    def refresh(self, *regions: Area, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Asked to draw all of it anew, only the rows that look different are: what is drawn is what costs."""
        self._view_now = None
        if not regions and repaint and not (layout or recompose):
            regions = self._different()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _different(self) -> tuple[Area, ...]:
        """Lines that are not as they were drawn, those around the map included; none where that may be all."""
        view, (width, height) = self._picture(), self.size
        first = 1 + (0 if self.window.fits else 1)
        shown = 0 if view is None else min(view.rows, view.layout.rows - view.top)
        frame = (width, height, first, shown, self.look.revision, self.trouble is not None)
        if view is None or frame != self._frame:
            self._frame = frame
            return ()
        changed = [
            Area(0, first + nth, width, 1)
            for nth in range(shown)
            if self._strips.get(first + nth, (None,))[0] != mapdraw.row_of(self.look, view, view.top + nth, width)
        ]
        return (Area(0, 0, width, first), *changed, Area(0, height - _FOOT, width, _FOOT))

    def render_line(self, y: int) -> Strip:
        """A row of the map that depends on nothing new is the strip that it was."""
        view, width = self._picture(), self.size.width
        nth = y - 1 - (0 if self.window.fits else 1)
        if view is None or not 0 <= nth < min(view.rows, view.layout.rows - view.top):
            return super().render_line(y)
        row = mapdraw.row_of(self.look, view, view.top + nth, width)
        known = self._strips.get(y)
        if known is None or known[0] != row:
            strip = self.look.strip(mapdraw.map_row(self.look, view, row), width)
            known = self._strips[y] = (row, strip)
        return self.aged(known[1], y)

    def body(self, y: int, width: int) -> Spans:
        view, bottom = self._picture(), self.size.height - 1
        if view is None:
            return self._nothing() if y == 1 else []
        if y in (bottom - 2, bottom - 1):
            return mapwords.foot(self.look, view, width)[y - bottom + 2]
        if y == 0 and not self.window.fits:
            return mapdraw.minimap(self.look, view, self.window.total_bytes)
        return []

    def _picture(self) -> MapView | None:
        if self._view_now is None:
            self._view_now = self._make_picture()
        return self._view_now

    def _make_picture(self) -> MapView | None:
        window, sight = self.window, self._sight
        if window.layout is None:
            return None
        same_scale = sight.drawn is not None and sight.drawn.page_map.grid.bucket_bytes == window.layout.bucket_bytes
        return MapView(
            layout=window.layout,
            regions=window.regions,
            home=frozenset(self.process.home if self.process is not None else ()),
            drawn=sight.drawn if same_scale else None,
            overview=sight.overview,
            top=window.top,
            rows=window.rows,
            cursor=window.cursor,
            spot=self.spot,
            next_batch=self._next,
            now_s=self._now_s,
            page_size=window.page_size,
            lens=sight.lens,
            data=sight.data,
            marked=self.marked,
            range=self.open_range,
            lit=self.lit if same_scale else None,
        )

    def _nothing(self) -> Spans:
        if self.process is None:
            words = "no process is selected"
        elif self._problem:
            words = f"{self._standing.value}: {self.look.shown(self._problem)}"
        else:
            words = "no room here" if self.window.regions else self.waiting
        return [(f"  {words}", self.look.label)]
