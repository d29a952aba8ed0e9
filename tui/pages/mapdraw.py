"""Drawing a page map: its rows, and the map above the map, from values only."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.style import Style

from numamig.units import format_percent
from tui.pages.mapcells import (
    ABSENT,
    BLANK,
    CURSOR,
    FLASH,
    LIT,
    MARKED,
    MUCH_MIXED,
    NAMED,
    NEXT,
    PURE,
    UNLIT,
    UNREAD,
    heat_of,
    kind_of,
    mark_of,
    named,
    nodes_of,
)
from tui.pages.maplayout import Stretch
from tui.pages.mapview import FLASH_S, LABEL, SHARE, MapView
from tui.plans.addresses import touched
from tui.style.look import Look, Span, Spans
from tui.threads.lenses import LETTERS, RARE, Lens
from tui.words.present import kind_label, remote_text, short_size

__all__ = ["Brush", "Row", "brush_for", "map_row", "minimap", "row_of"]


_NOWHERE = -2
"""As a spotlight: no cell is in it."""


class Brush:
    """Draws cells as they look through one lens; each kind of cell is worked out once."""

    def __init__(self, look: Look, lens: Lens, home: frozenset[int], spot: int | None) -> None:
        self._look, self._lens, self._home, self._spot = look, lens, home, spot
        self._known: dict[int, Span] = {}
        self._styles: dict[Style, Style] = {}

    def cell(self, code: int) -> Span:
        """One cell."""
        found = self._known.get(code)
        if found is None:
            char, style = self._make(code)
            found = self._known[code] = (char, self._styles.setdefault(style, style))
        return found

    def paint(self, cells: NDArray[np.int64]) -> Spans:
        """Neighbouring cells, those of one style together."""
        spans: Spans = []
        text, last = "", None
        for code in cells.tolist():
            char, style = self.cell(code)
            if style is last:
                text += char
                continue
            if last is not None:
                spans.append((text, last))
            text, last = char, style
        if last is not None:
            spans.append((text, last))
        return spans

    def _make(self, code: int) -> Span:
        look = self._look
        if code & CURSOR:
            return look.glyphs.point, look.bold + look.reverse
        char, style = self._ground(code)
        if code & MARKED:  # its letter turned over, or a sign on its ground
            char, style = (char, style + look.reverse) if char.isalnum() else (look.glyphs.mark, style)
        if code & FLASH:
            style = style + look.reverse
        return char, style + look.underline if code & NEXT else style

    def _ground(self, code: int) -> Span:
        look, lens, spot, kind = self._look, self._lens, self._spot, kind_of(code)
        if code & (LIT | UNLIT):
            spot = nodes_of(code)[0] if code & LIT else _NOWHERE
        if kind == BLANK:
            return " ", look.plain
        if kind == UNREAD:
            return look.glyphs.unread, look.dim
        if kind == ABSENT:
            # Where heat has no colours, what nobody touches has this glyph.
            hidden = lens is Lens.HEAT and not look.heat_has_colours
            return (" " if hidden else look.glyphs.absent), look.dim
        first, second = nodes_of(code)
        mark, with_digit = mark_of(code), bool(code & NAMED)
        if lens is Lens.HEAT:
            step = heat_of(code)
            return look.warm(step, first, named=with_digit) if step else (look.glyphs.unread, look.dim)
        if mark:
            return look.marked(LETTERS[mark], first, home=first in self._home, strong=mark <= RARE, spot=spot)
        if lens is Lens.STAY:
            return look.aside(first, named=with_digit)
        if kind == PURE:
            return look.pure(first, home=first in self._home, named=with_digit, spot=spot)
        at_home = (first in self._home, second in self._home)
        return look.mixed(first, second, much=kind == MUCH_MIXED, home=at_home, spot=spot)


def brush_for(look: Look, lens: Lens, home: frozenset[int], spot: int | None) -> Brush:
    """The same one for the same picture in the same theme."""
    return _brush(look, look.revision, lens, home, spot)


@lru_cache(16)
def _brush(look: Look, _revision: int, lens: Lens, home: frozenset[int], spot: int | None) -> Brush:
    return Brush(look, lens, home, spot)


def row_cells(look: Look, view: MapView, stretches: list[Stretch]) -> NDArray[np.int64]:
    """Everything that the cells of a row depend on, blanks between its stretches included."""
    width = stretches[-1].column + stretches[-1].buckets if stretches else 0
    cells = np.full(width, BLANK << 24, np.int64)
    for stretch in stretches:
        cells[stretch.column : stretch.column + stretch.buckets] = _stretch(look, view, stretch)
    return cells


def _stretch(look: Look, view: MapView, stretch: Stretch) -> NDArray[np.int64]:
    size, drawn, buckets = view.layout.bucket_bytes, view.drawn, stretch.buckets
    where = drawn.span(stretch.start, buckets) if drawn is not None else None
    if drawn is None or where is None:
        cells = np.full(buckets, UNREAD << 24, np.int64)
    else:
        cells = named(drawn.cells[where], stretch.column, every_mark=view.lens is not Lens.HOME)
        if look.motion and (since := view.now_s - drawn.changed_at[where]).min() < FLASH_S:
            cells = np.where(since < FLASH_S, cells | FLASH, cells)
        if view.lit is not None:
            cells |= np.where(view.lit[where], LIT, UNLIT)
    if view.marked or view.range:
        starts = np.uint64(stretch.start) + np.arange(buckets, dtype=np.uint64) * np.uint64(size)
        meant = touched(view.marked, starts, size) & (cells & UNLIT == 0)
        cells |= np.where(meant | touched(view.range, starts, size), MARKED, 0)
    end = stretch.start + buckets * size
    low, high = max(view.next_batch[0], stretch.start), min(view.next_batch[1], end)
    if low < high:
        cells[(low - stretch.start) // size : -(-(high - stretch.start) // size)] |= NEXT
    if view.cursor is not None and stretch.start <= view.cursor < end:
        cells[(view.cursor - stretch.start) // size] |= CURSOR
    return cells


class Row(NamedTuple):
    """All that the look of a row depends on: equal rows look alike."""

    label: str
    share: str
    """Of its pages, how many are not at home; "" for none."""
    cells: bytes
    brush: Brush
    width: int


def row_of(look: Look, view: MapView, number: int, width: int) -> Row:
    """A row of the map."""
    stretches = view.layout.row(number)
    cells = row_cells(look, view, stretches).tobytes()
    brush = brush_for(look, view.lens, view.tint, view.spot)
    return Row(row_label(view, number), row_share(view, stretches, width), cells, brush, width)


def map_row(look: Look, view: MapView, row: Row) -> Spans:
    """A row with its label, and its share where there is room."""
    cells = np.frombuffer(row.cells, np.int64)
    spans = [(look.fit(row.label, LABEL - 1, right=True) + " ", look.label), *row.brush.paint(cells)]
    if row.share:
        spans.append((" " * (view.layout.cells - len(cells)), look.plain))
        spans.append((f"{row.share:>{SHARE}}", look.label))
    return spans


def row_share(view: MapView, stretches: list[Stretch], width: int) -> str:
    """How much of a row is not at home; "" where there is no room for it, or no home."""
    if not view.home or width < LABEL + view.layout.cells + SHARE:
        return ""
    parts, _ = view.counts([(s.start, s.buckets) for s in stretches])
    total = sum(parts.values())
    away = sum(count for node, count in parts.items() if node not in view.home)
    return remote_text(away, total) if total else ""


def row_label(view: MapView, row: int) -> str:
    """What a row begins with: the region where it begins, else how far into the region."""
    stretches = view.layout.row(row)
    if not stretches or stretches[0].region >= len(view.regions):
        return ""
    region = view.regions[stretches[0].region]
    if view.layout.starts_here(stretches[0]):
        return kind_label(region)
    return f"+{short_size(stretches[0].start - region.start)}"


def minimap(look: Look, view: MapView, total_bytes: int) -> Spans:
    """All of the process in one row; what is in view stands full."""
    layout, overview = view.layout, view.overview
    in_view = layout.grid(view.top, view.rows)
    label = f"view {format_percent(min(len(in_view) * layout.bucket_bytes, total_bytes), total_bytes)}"
    spans: Spans = [(look.fit(label, LABEL - 1, right=True) + " ", look.label)]
    if overview is None or not len(overview.page_map.grid) or not len(in_view):
        return [*spans, (look.glyphs.unread * layout.cells, look.dim)]
    grid = overview.page_map.grid
    low, high = int(in_view.start[0]), int(in_view.start[-1]) + layout.bucket_bytes
    plain = Lens.NODE if view.lens in (Lens.NODE, Lens.HEAT) else Lens.HOME
    brush = brush_for(look, plain, frozenset() if plain is Lens.NODE else view.home, view.spot)
    last = -1
    for nth in range(layout.cells):
        at = nth * len(grid) // layout.cells
        until = max(at + 1, (nth + 1) * len(grid) // layout.cells)
        code = int(overview.codes[at])
        inside = int(grid.start[at]) < high and int(grid.start[until - 1]) + grid.bucket_bytes > low
        char, style = brush.cell(code | NAMED if code != last else code)
        last = code
        if inside and look.mono:
            style = style + look.reverse
        elif not inside and not look.mono and kind_of(code) >= PURE:
            node = nodes_of(code)[0]
            char, style = look.glyphs.lower, look.ink(node) if view.spot in (None, node) else look.dim
        spans.append((char, style))
    return spans
