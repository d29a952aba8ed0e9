"""The page map: every page of a process in address order, a bucket a cell; cells flash when their pages have moved."""

from __future__ import annotations

import numpy as np
from textual import events
from textual.geometry import Region as Area
from textual.message import Message

from numamig.migrate.snapshot import JobSnapshot
from numamig.model.process import Region
from numamig.observe.pagemap import Grid
from numamig.units import format_count
from tui.look import Look, Spans
from tui.mapcells import cell_codes, changed_share
from tui.mapwindow import MapWindow
from tui.present import short_size
from tui.snapshots import MapSeen, ProcessSeen, RegionsSeen, Standing
from tui.widgets import mapdraw
from tui.widgets.mapdraw import FLASH_S, LABEL, Drawn, MapView
from tui.widgets.pane import Pane

__all__ = ["PageMap"]

_FLASH_AGAIN_S = 1.0
_FLASH_FROM = 0.05
_STALE_S = 15.0
_FOOT = 2
"""Readout and legend."""


class PageMap(Pane):
    """Draws what is in the window; asks for what is not there yet."""

    class ViewChanged(Message):
        """Other buckets are in view."""

        def __init__(self, grid: Grid | None, overview: Grid | None) -> None:
            super().__init__()
            self.grid = grid
            self.overview = overview

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="map")
        self.window = MapWindow()
        self.process: ProcessSeen | None = None
        self.spot: int | None = None
        self._standing = Standing.HERE
        self._problem = ""
        self._seen: MapSeen | None = None
        self._drawn: Drawn | None = None
        self._overview_seen: MapSeen | None = None
        self._overview: Drawn | None = None
        self._next = (0, 0)
        """Addresses of the next batch of a job."""
        self._age_s = 0.0
        self._now_s = 0.0

    # What is shown

    @property
    def selected(self) -> Region | None:
        """The region under the cursor."""
        window = self.window
        if window.layout is None or window.cursor is None:
            return None
        return mapdraw.region_at(window.regions, window.cursor, window.cursor + window.layout.bucket_bytes)

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
                self._view(changed=True)
        seen, overview = (m if m is not None and m.identity == identity else None for m in maps)
        if seen is not None and seen is not self._seen:
            self._take(seen)
        elif self._drawn is not None and bool((now_s - self._drawn.changed_at < 2 * FLASH_S).any()):
            self.refresh()
        if overview is not None and overview is not self._overview_seen:
            self._overview_seen, codes = overview, cell_codes(overview.page_map)
            self._overview = Drawn(overview.page_map, codes, np.full(len(codes), -np.inf))
            self.refresh(Area(0, 1, self.size.width, 1))
        self._grow_old(now_s)

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
        self._seen = self._drawn = self._overview_seen = self._overview = None
        self._standing, self._problem = Standing.HERE, ""
        self.refresh()

    def _take(self, seen: MapSeen) -> None:
        """Compare with what was shown: cells whose pages came from another node flash, at most once a second."""
        before, old = self._drawn, self._seen
        codes = cell_codes(seen.page_map)
        changed_at = np.full(len(codes), -np.inf)
        same = False
        if (
            before is not None
            and old is not None
            and old.page_map.estimated == seen.page_map.estimated  # else it is our view that changed
            and np.array_equal(old.page_map.grid.start, seen.page_map.grid.start)
        ):
            changed = changed_share(old.page_map, seen.page_map) >= _FLASH_FROM
            changed &= self._now_s - before.changed_at >= _FLASH_AGAIN_S
            changed_at = np.where(changed, self._now_s, before.changed_at)
            same = np.array_equal(before.codes, codes) and not changed.any()
        self._seen, self._drawn = seen, Drawn(seen.page_map, codes, changed_at)
        if same and old is not None and old.page_map.estimated == seen.page_map.estimated:
            # The counts of the readout may have changed all the same.
            self.refresh(Area(0, self.size.height - _FOOT, self.size.width, 1))
        else:
            self.refresh()

    def _grow_old(self, now_s: float) -> None:
        age = now_s - self._seen.taken_s if self._seen is not None else 0.0
        if age > _STALE_S or self._age_s > _STALE_S:
            self.refresh(Area(0, 0, self.size.width, 1))
        self._age_s = age

    # Keys and mouse

    def on_resize(self, event: events.Resize) -> None:
        room = self.size.width - LABEL
        cells = next((cells for cells in (128, 64, 32) if cells <= room), 16)
        self._view(changed=self.window.resize(cells, self.size.height - 1 - _FOOT))

    def move_cursor(self, way: str) -> None:
        self._view(changed=self.window.move(way))
        self.post_message(self.Changed(self))

    def go_to(self, address: int) -> None:
        """The cursor on the bucket that holds an address."""
        self._view(changed=self.window.go_to(address))

    def zoom(self, way: int) -> None:
        self._view(changed=self.window.zoom(way))

    def fit(self) -> None:
        self._view(changed=self.window.fit())

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 - (0 if self.window.fits else 1)
        if 0 <= row < self.window.rows:
            self._view(changed=self.window.go_to_cell(row, event.x - LABEL))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.move_cursor("down")

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.move_cursor("up")

    def _view(self, *, changed: bool) -> None:
        if changed:
            self.post_message(self.ViewChanged(self.window.grid(), self.window.overview()))
        self.refresh()

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
            left.append((f" {look.glyphs.dot} {words}", look.label))
        if self._standing is not Standing.HERE:
            right = (f"{self._standing.value}, seen {self._age_s:.0f} s ago", look.bold)
        elif self._age_s > _STALE_S:
            right = (f"read {self._age_s:.0f} s ago", look.bold)
        else:
            right = (mapdraw.exactness(look, self._drawn) if self._drawn is not None else "", look.label)
        return self.both_ends(left, [right], width)

    def body(self, y: int, width: int) -> Spans:
        view, bottom = self._picture(), self.size.height - 1
        if view is None:
            return self._nothing() if y == 1 else []
        if y == bottom - 2:
            return mapdraw.readout(self.look, view)
        if y == bottom - 1:
            return mapdraw.legend(self.look, view)
        if not self.window.fits:
            if y == 0:
                return mapdraw.minimap(self.look, view, self.window.total_bytes)
            y -= 1
        row = view.top + y
        return mapdraw.map_row(self.look, view, row, width) if row < view.layout.rows else []

    def _picture(self) -> MapView | None:
        window, drawn = self.window, self._drawn
        if window.layout is None:
            return None
        same_scale = drawn is not None and drawn.page_map.grid.bucket_bytes == window.layout.bucket_bytes
        return MapView(
            layout=window.layout,
            regions=window.regions,
            home=frozenset(self.process.home if self.process is not None else ()),
            drawn=drawn if same_scale else None,
            overview=self._overview,
            top=window.top,
            rows=window.rows,
            cursor=window.cursor,
            spot=self.spot,
            next_batch=self._next,
            now_s=self._now_s,
        )

    def _nothing(self) -> Spans:
        if self.process is None:
            words = "no process is selected"
        elif self._problem:
            words = f"{self._standing.value}: {self.look.shown(self._problem)}"
        else:
            words = "no room here" if self.window.regions else "looking"
        return [(f"  {words}", self.look.label)]
