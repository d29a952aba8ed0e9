"""The part of a page map that is in view: scale, cursor and scroll position, kept while the process grows."""

from __future__ import annotations

from numamig.model.process import Region, RegionKind
from numamig.observe.pagemap import Grid
from tui.pages.maplayout import MapLayout, fitting_bucket, lay_out_rows, overview_grid

__all__ = ["MapWindow"]

_LARGEST_BUCKET = 1 << 44
_ZOOM = 4


class MapWindow:
    """Every method that changes what is in view returns whether other buckets are to be looked at."""

    def __init__(self) -> None:
        self.regions: tuple[Region, ...] = ()
        self.layout: MapLayout | None = None
        """None while there is nothing to lay out, or no room for it."""
        self.cursor: int | None = None
        """Address of the bucket under the cursor."""
        self.top = 0
        """First row in view."""
        self.page_size = 4096
        self._cells = 64
        self._room = 1
        self._zoom: int | None = None
        """Bytes of a bucket, where it is not the fitting size."""
        self._begun: tuple[int, int] | None = None
        """The bucket where a range was begun: its first address, and the one behind it."""

    @property
    def range(self) -> tuple[int, int] | None:
        """The range that is open: from where it was begun to the bucket under the cursor."""
        if self._begun is None or self.cursor is None or self.layout is None:
            return None
        return min(self._begun[0], self.cursor), max(self._begun[1], self.cursor + self.layout.bucket_bytes)

    @property
    def under_cursor(self) -> tuple[int, int] | None:
        """The bucket under the cursor."""
        if self.cursor is None or self.layout is None:
            return None
        return self.cursor, self.cursor + self.layout.bucket_bytes

    @property
    def zoomed(self) -> bool:
        """It is closer than where everything fits."""
        return self._zoom is not None and not self.fits

    @property
    def fits(self) -> bool:
        """All of the process is in view."""
        return self.layout is None or self.layout.rows <= self._room

    @property
    def rows(self) -> int:
        """Rows of the map in view: one less where the map of the whole process stands above it."""
        return max(1, self._room - (0 if self.fits else 1))

    @property
    def total_bytes(self) -> int:
        """Of all regions that are drawn."""
        return sum(region.size_bytes for region in self.regions if region.kind is not RegionKind.SPECIAL)

    @property
    def ends(self) -> tuple[bool, bool]:
        """Whether the first bucket of all is in view, and the last."""
        return self.top == 0, self.layout is None or self.top + self.rows >= self.layout.rows

    def grid(self) -> Grid | None:
        """The buckets in view."""
        return self.layout.grid(self.top, self.rows) if self.layout is not None else None

    def overview(self) -> Grid | None:
        """Coarse buckets of everything, where not all is in view."""
        return None if self.fits else overview_grid(self.regions, 8 * self._cells, self.page_size)

    def forget(self) -> None:
        """Another process."""
        self.regions, self.layout, self._zoom, self.cursor, self.top = (), None, None, None, 0
        self._begun = None

    def begin_range(self) -> None:
        """At the cursor."""
        self._begun = self.under_cursor

    def end_range(self) -> None:
        """Marked, or given up."""
        self._begun = None

    def set_regions(self, regions: tuple[Region, ...]) -> bool:
        """The scale stays: it changes by key only, or with the size of the pane."""
        if regions == self.regions:
            return False
        self.regions = regions
        return self._lay_out()

    def resize(self, cells: int, room: int) -> bool:
        """Cells in a row, and rows that there is room for."""
        self._cells, self._room = cells, room
        return self._lay_out(rescale=True)

    def zoom(self, way: int) -> bool:
        """Four times closer, or farther; single pages are as close as it gets."""
        layout = self.layout
        if layout is None or (way < 0 and (layout.rows <= 1 or layout.bucket_bytes >= _LARGEST_BUCKET)):
            return False
        self._zoom = layout.bucket_bytes * _ZOOM if way < 0 else max(self.page_size, layout.bucket_bytes // _ZOOM)
        return self._lay_out()

    def fit(self) -> bool:
        """All of the process in view."""
        self._zoom = None
        return self._lay_out(rescale=True)

    def out(self) -> bool:
        """Four times farther, at most to where all of the process is in view."""
        layout = self.layout
        fitting = fitting_bucket(self.regions, self._cells, self._room, self.page_size)
        if layout is None or not self.zoomed or layout.bucket_bytes * _ZOOM >= fitting:
            return self.fit()
        return self.zoom(-1)

    def scroll(self, rows: int) -> bool:
        """Other rows; the cursor comes along where it would be left behind."""
        layout = self.layout
        if layout is None or self.cursor is None:
            return False
        before, (row, column) = self.top, layout.place(self.cursor) or (0, 0)
        self.top = max(0, min(self.top + rows, layout.rows - self.rows))
        self.cursor = layout.nearest(max(self.top, min(row, self.top + self.rows - 1)), column)
        return self.top != before

    def zoom_at(self, row: int, column: int, way: int) -> bool:
        """The same as ``zoom``, at a cell, by its row in view."""
        moved = self.go_to_cell(row, column)
        return self.zoom(way) or moved

    def follow(self, address: int, way: int = 1) -> bool:
        """The cursor on the bucket at, or before, an address; where it leaves the view, with rows ahead of it."""
        layout = self.layout
        if layout is None:
            return False
        before = self.top
        self._put(layout.step(address, 0))
        if self.top != before:
            behind = self.rows // 4 if way > 0 else self.rows - 1 - self.rows // 4
            self.top = max(0, min(self._cursor_row() - behind, layout.rows - self.rows))
        return self.top != before

    def move(self, way: str) -> bool:
        """The cursor ``up down left right first last page_up page_down``."""
        layout = self.layout
        if layout is None or self.cursor is None:
            return False
        row, column = layout.place(self.cursor) or (0, 0)
        half = max(1, self.rows // 2)
        rows = {"down": 1, "up": -1, "page_down": half, "page_up": -half}
        if way in rows:
            return self._put(layout.nearest(row + rows[way], column))
        if way in ("first", "last"):
            return self._put(layout.pieces[0].start if way == "first" else layout.last_address)
        return self._put(layout.step(self.cursor, -1 if way == "left" else 1))

    def go_to(self, address: int) -> bool:
        """The cursor on the bucket that holds an address."""
        layout = self.layout
        if layout is None or layout.place(address) is None:
            return False
        return self._put(layout.step(address, 0))

    def go_to_cell(self, row: int, column: int) -> bool:
        """The cursor on a cell, by its row in view."""
        return self._put(self.layout.nearest(self.top + row, column)) if self.layout is not None else False

    def _put(self, address: int | None) -> bool:
        if address is None:
            return False
        self.cursor, top = address, self.top
        self._reveal()
        return self.top != top

    def _lay_out(self, *, rescale: bool = False) -> bool:
        before, row_in_view = self.layout, self._cursor_row() - self.top
        if not self.regions or self._room < 2:
            self.layout = None
            return before is not None
        if self._zoom is not None:
            bucket = self._zoom
        elif before is not None and before.cells == self._cells and not rescale:
            bucket = before.bucket_bytes
        else:
            bucket = fitting_bucket(self.regions, self._cells, self._room, self.page_size)
        layout = lay_out_rows(self.regions, bucket, self._cells)
        self.layout = layout if layout.pieces else None
        if self.layout is not None:
            self.cursor = layout.step(layout.pieces[0].start if self.cursor is None else self.cursor, 0)
            self.top = self._cursor_row() - max(0, row_in_view)
            self._reveal()
        return True

    def _cursor_row(self) -> int:
        place = self.layout.place(self.cursor) if self.layout is not None and self.cursor is not None else None
        return place[0] if place is not None else 0

    def _reveal(self) -> None:
        if self.layout is not None:
            row = self._cursor_row()
            self.top = max(row - self.rows + 1, min(self.top, row))
            self.top = max(0, min(self.top, self.layout.rows - self.rows))
