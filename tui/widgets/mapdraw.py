"""Drawing a page map: rows, the map above the map, readout and legend, from values only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.model.process import Region
from numamig.observe.pagemap import PageMap
from numamig.units import format_count, format_percent
from tui.look import Look, Span, Spans
from tui.mapcells import ABSENT, BLANK, MUCH_MIXED, PURE, UNREAD, kind_of, nodes_of
from tui.maplayout import MapLayout
from tui.present import kind_label, region_label, remote_text, short_size, size_text

__all__ = [
    "FLASH_S",
    "LABEL",
    "SHARE",
    "Drawn",
    "MapView",
    "cell",
    "exactness",
    "legend",
    "map_row",
    "minimap",
    "readout",
    "region_at",
]

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

    def doubt(self, look: Look, address: int) -> tuple[str, str]:
        """What stands before an estimated count, and how far it may be off; both empty where a bucket was counted."""
        where = self.span(address, 1)
        error = 0.0 if where is None or self.page_map.error is None else float(self.page_map.error[where][0])
        return (look.glyphs.unread, f" {_plus_minus(look)}{100 * error:.0f}%") if error else ("", "")

    def span(self, start: int, buckets: int) -> slice | None:
        """Where some neighbouring buckets are in the arrays; None if they were not looked at."""
        grid = self.page_map.grid
        at = int(np.searchsorted(grid.start, np.uint64(start)))
        last = at + buckets - 1
        if last >= len(grid) or int(grid.start[at]) != start:
            return None
        return slice(at, last + 1) if int(grid.start[last]) == start + (buckets - 1) * grid.bucket_bytes else None


@dataclass(frozen=True, slots=True)
class MapView:
    """All that a picture of the map depends on."""

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


def _plus_minus(look: Look) -> str:
    return "+-" if look.ascii else "±"


def exactness(look: Look, drawn: Drawn) -> str:
    """Whether what is drawn was counted, or how far off it may be: ``exact``, ``~ ±12%``."""
    error = drawn.page_map.error
    if error is None or not drawn.page_map.estimated:
        return "exact"
    read = error if drawn.page_map.read is None else error[drawn.page_map.read]
    return f"{look.glyphs.unread} {_plus_minus(look)}{100 * float(read.max(initial=0.0)):.0f}%"


def region_at(regions: tuple[Region, ...], start: int, end: int) -> Region | None:
    """The first region with an address in [start, end)."""
    return next((r for r in regions if r.start < end and start < r.end), None)


def cell(look: Look, view: MapView, code: int, *, named: bool) -> Span:
    """One cell of the map."""
    kind = kind_of(code)
    if kind == BLANK:
        return " ", look.plain
    if kind in (ABSENT, UNREAD):
        return (look.glyphs.absent if kind == ABSENT else look.glyphs.unread), look.dim
    first, second = nodes_of(code)
    if kind == PURE:
        return look.pure(first, home=first in view.home, named=named, spot=view.spot)
    at_home = (first in view.home, second in view.home)
    return look.mixed(first, second, much=kind == MUCH_MIXED, home=at_home, spot=view.spot)


def map_row(look: Look, view: MapView, row: int, width: int) -> Spans:
    """A row with its label, and the share of its pages that are not at home where there is room."""
    layout = view.layout
    stretches = layout.row(row)
    spans: Spans = [(look.fit(_label(view, row), LABEL - 1, right=True) + " ", look.label)]
    column = 0
    for stretch in stretches:
        if stretch.column > column:
            spans.append((" " * (stretch.column - column), look.plain))
        spans += _stretch(look, view, stretch.start, stretch.buckets, stretch.column)
        column = stretch.column + stretch.buckets
    if view.home and width >= LABEL + layout.cells + SHARE:
        parts, _ = view.counts([(s.start, s.buckets) for s in stretches])
        total = sum(parts.values())
        away = sum(count for node, count in parts.items() if node not in view.home)
        spans.append((" " * (layout.cells - column), look.plain))
        spans.append((f"{remote_text(away, total) if total else '':>{SHARE}}", look.label))
    return spans


def _stretch(look: Look, view: MapView, start: int, buckets: int, column: int) -> Spans:
    size, drawn = view.layout.bucket_bytes, view.drawn
    where = drawn.span(start, buckets) if drawn is not None else None
    codes = [UNREAD << 24] * buckets if drawn is None or where is None else drawn.codes[where].tolist()
    since = None if drawn is None or where is None else view.now_s - drawn.changed_at[where]
    flashing = [] if since is None or since.min() >= FLASH_S else (since < FLASH_S).tolist()
    next_low, next_high = view.next_batch
    spans: Spans = []
    last = -1
    for nth, code in enumerate(codes):
        address = start + nth * size
        char, style = cell(look, view, code, named=code != last or (column + nth) % 8 == 0)
        last = code
        if flashing and flashing[nth]:
            style = style + look.reverse
        if next_low < address + size and address < next_high:
            style = style + look.underline
        if address == view.cursor:
            char, style = look.glyphs.point, look.bold + look.reverse
        spans.append((char, style))
    return spans


def _label(view: MapView, row: int) -> str:
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
    last = -1
    for nth in range(layout.cells):
        at = nth * len(grid) // layout.cells
        until = max(at + 1, (nth + 1) * len(grid) // layout.cells)
        code = int(overview.codes[at])
        inside = int(grid.start[at]) < high and int(grid.start[until - 1]) + grid.bucket_bytes > low
        char, style = cell(look, view, code, named=code != last)
        last = code
        if inside and look.mono:
            style = style + look.reverse
        elif not inside and not look.mono and kind_of(code) >= PURE:
            node = nodes_of(code)[0]
            char, style = look.glyphs.lower, look.ink(node) if view.spot in (None, node) else look.dim
        spans.append((char, style))
    return spans


def readout(look: Look, view: MapView) -> Spans:
    """What is under the cursor, in full."""
    address = view.cursor
    if address is None:
        return []
    dot = f" {look.glyphs.dot} "
    region = region_at(view.regions, address, address + view.layout.bucket_bytes)
    spans: Spans = [(f"{look.glyphs.point} {address:x}", look.bold)]
    if region is not None and address > region.start:
        spans.append((f" +{size_text(address - region.start)}", look.plain))
    parts, huge = view.counts([(address, 1)])
    about, error = ("", "") if view.drawn is None else view.drawn.doubt(look, address)
    for node, count in sorted(parts.items()):
        spans += [
            (" ", look.plain),
            look.chip(node) if node >= 0 else (" ? ", look.dim),
            (f" {about}{format_count(count)}", look.plain),
        ]
    words = "page" if sum(parts.values()) == 1 else "pages"
    spans.append((f" {words}{error}" if parts else f" no pages{error}", look.plain))
    if huge:
        spans.append((f"{dot}{format_count(huge)} huge", look.plain))
    if region is not None:
        spans.append((dot + region_label(region, only_ascii=look.ascii), look.label))
    return spans


def legend(look: Look, view: MapView) -> Spans:
    """What the glyphs mean."""
    nodes = view.drawn.page_map.nodes if view.drawn is not None else ()
    spans: Spans = [(" ", look.plain)]
    for node in nodes[:8]:
        digit, style = look.pure(node, home=node in view.home, named=True, spot=view.spot)
        ground, _ = look.pure(node, home=node in view.home, named=False, spot=view.spot)
        spans += [(digit + ground, style), (" home " if node in view.home else " ", look.label)]
    if not look.mono and len(nodes) > 1:
        pair = [node for node in nodes if node not in view.home][:1] + [node for node in nodes if node in view.home][:1]
        first, second = pair if len(pair) == 2 else nodes[:2]
        spans += [look.mixed(first, second, much=much, home=(False, second in view.home)) for much in (False, True)]
        spans.append((" mixed ", look.label))
    spans.append((f" {look.glyphs.absent} none  ", look.label))
    if view.next_batch[1]:
        spans += [("00", look.underline), (" next batch ", look.label)]
    return spans
