"""Page maps that tests make up, and the rows that are drawn of them: text, and the style of each cell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from rich.style import Style

from numamig.model.pageflags import PageFlag
from numamig.model.process import Region, RegionKind
from numamig.observe.bucketheat import BucketHeat
from numamig.observe.flagshares import FlagShares
from numamig.observe.pagemap import PageMap
from tui.pages.mapcells import cell_codes
from tui.pages.mapdraw import map_row, row_of
from tui.pages.maplayout import lay_out_rows
from tui.pages.mapview import Drawn, MapView, lens_cells
from tui.style.look import Look, Spans
from tui.style.terminal import Colours, Terminal
from tui.threads.lenses import Lens, LensData

__all__ = [
    "BASE",
    "PAGE",
    "ascii_look",
    "colourful",
    "few",
    "flags_of",
    "heat_of",
    "mono",
    "row",
    "styles",
    "text",
    "view",
]

PAGE, BASE = 4096, 0x7F0000000000
Cell = str | dict[int, int]
"""``"."`` absent, ``"~"`` unread, ``"?"`` on nodes that are not known, ``"0"`` … all pages on that node; or a part of
the pages on each node. Capitals ``A``–``C``: nodes 0–2 in huge pages."""


def mono() -> Look:
    return Look(Terminal(Colours.NONE, ascii=False))


def ascii_look() -> Look:
    return Look(Terminal(Colours.NONE, ascii=True))


def few() -> Look:
    return Look(Terminal(Colours.SIXTEEN, ascii=False))


def colourful() -> Look:
    return Look(Terminal(Colours.MANY, ascii=False))


def view(
    cells: Iterable[Cell],
    *,
    lens: Lens = Lens.HOME,
    bucket_pages: int = 16,
    width: int = 16,
    home: Iterable[int] = (1,),
    kind: RegionKind = RegionKind.ANON,
    flags: dict[int, dict[PageFlag, float]] | None = None,
    heat: list[float] | None = None,
    **more: object,
) -> MapView:
    """One region of these cells, a bucket each, on a machine with nodes 0, 1, 2; nothing is under the cursor."""
    every = list(cells)
    size = bucket_pages * PAGE
    regions = (Region(BASE, BASE + len(every) * size, kind, "rw-p"),)
    layout = lay_out_rows(regions, size, width)
    grid = layout.grid(0, layout.rows)
    counts, huge = np.zeros((len(every), 4), np.int64), np.zeros(len(every), np.int64)
    for nth, cell in enumerate(every):
        if isinstance(cell, dict):
            for node, pages in cell.items():
                counts[nth, node] = pages
        elif cell == "?":
            counts[nth, 3] = bucket_pages
        elif cell in "ABC":
            counts[nth, "ABC".index(cell)] = huge[nth] = bucket_pages
        elif cell not in ".~":
            counts[nth, int(cell)] = bucket_pages
    read = np.array([cell != "~" for cell in every])
    page_map = PageMap(grid, (0, 1, 2), counts, huge, read=read)
    data = LensData(
        flags=flags_of(page_map, flags) if flags is not None else None,
        heat=heat_of(page_map, heat) if heat is not None else None,
    )
    data = more.pop("data", data)  # type: ignore[assignment]
    codes = cell_codes(page_map)
    drawn = Drawn(page_map, codes, np.full(len(codes), -np.inf), lens_cells(codes, page_map, lens, regions, data))
    about: dict[str, object] = {
        "layout": layout,
        "regions": regions,
        "home": frozenset(home),
        "drawn": drawn,
        "overview": None,
        "top": 0,
        "rows": layout.rows,
        "cursor": None,
        "spot": None,
        "next_batch": (0, 0),
        "now_s": 100.0,
        "lens": lens,
        "data": data,
        **more,
    }
    return MapView(**about)  # type: ignore[arg-type]


def flags_of(page_map: PageMap, flags: dict[int, dict[PageFlag, float]]) -> FlagShares:
    """Shares of the flags of some buckets; all others have none."""
    every = tuple(PageFlag)
    shares = np.zeros((len(page_map.grid), len(every)), np.float32)
    for bucket, having in flags.items():
        for flag, share in having.items():
            shares[bucket, every.index(flag)] = share
    whole = np.ones(len(page_map.grid), np.bool_)
    return FlagShares(page_map.grid, shares, PageFlag(sum(every)), whole)


def heat_of(page_map: PageMap, heat: list[float]) -> BucketHeat:
    return BucketHeat(page_map.grid, np.array(heat, np.float32))


def row(look: Look, picture: MapView, number: int = 0, width: int = 200) -> Spans:
    """As the page map draws it."""
    return map_row(look, picture, row_of(look, picture, number, width))


def text(look: Look, picture: MapView, number: int = 0) -> str:
    """Without its label and without the share of the row."""
    return "".join(piece for piece, _ in row(look, picture, number, 0))[9:]


def styles(look: Look, picture: MapView, number: int = 0) -> list[Style]:
    """Of each cell."""
    return [style for piece, style in row(look, picture, number, 0)[1:] for _ in piece]
