"""The page map: where buckets are drawn, what their cells say, and what the window does with the cursor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numamig.model.process import Region, RegionKind
from numamig.observe.pagemap import Grid, PageMap, lay_out
from tests.machines import PID, add_process, machine
from tui.pages.mapcells import ABSENT, MIXED, MUCH_MIXED, PURE, UNREAD, cell_codes, changed_share, kind_of, nodes_of
from tui.pages.maplayout import fitting_bucket, lay_out_rows, overview_grid
from tui.pages.mapview import Drawn
from tui.pages.mapwindow import MapWindow
from tui.pages.mapwords import exactness
from tui.style.look import Look
from tui.style.terminal import Colours, Terminal
from tui.threads import looking
from tui.threads.looking import Looker
from tui.threads.snapshots import Watch

PAGE = 4096


def region(start: int, pages: int, kind: RegionKind = RegionKind.ANON) -> Region:
    return Region(start, start + pages * PAGE, kind, "rw-p")


REGIONS = (
    region(0x100000, 10),
    region(0x200000, 3),
    region(0x300000, 200),
    region(0x500000, 1, RegionKind.SPECIAL),
    region(0x600000, 5),
)


def page_map(counts: list[list[int]], nodes: tuple[int, ...] = (0, 1, 2)) -> PageMap:
    table = np.array(counts, np.int64)
    start = np.arange(len(counts), dtype=np.uint64) * np.uint64(PAGE)
    return PageMap(Grid(PAGE, start, np.zeros(len(counts), np.int32)), nodes, table, np.zeros(len(counts), np.int64))


def test_a_region_begins_a_row_and_small_ones_share_one() -> None:
    layout = lay_out_rows(REGIONS, PAGE, 64)
    assert [(p.region, p.buckets, p.row, p.column) for p in layout.pieces] == [
        (0, 10, 0, 0),
        (1, 3, 0, 11),
        (2, 200, 1, 0),
        (4, 5, 5, 0),
    ]
    assert layout.rows == 6
    assert [(s.column, s.buckets) for s in layout.row(0)] == [(0, 10), (11, 3)]
    assert [(s.start, s.buckets) for s in layout.row(4)] == [(0x300000 + 192 * PAGE, 8)]


@pytest.mark.parametrize("bucket", [PAGE, 4 * PAGE, 64 * PAGE, 1 << 20])
def test_every_bucket_has_one_place(bucket: int) -> None:
    layout = lay_out_rows(REGIONS, bucket, 16)
    grid, reference = layout.grid(0, layout.rows), lay_out(REGIONS, bucket)
    assert grid.start.tolist() == reference.start.tolist()
    assert grid.region.tolist() == reference.region.tolist()
    places = [layout.place(int(start)) for start in grid.start]
    assert len(set(places)) == len(places)
    for start, place in zip(grid.start.tolist(), places, strict=True):
        assert place is not None and layout.nearest(*place) == start
    walked = [layout.pieces[0].start]
    while walked[-1] != layout.last_address:
        walked.append(layout.step(walked[-1], 1))
    assert walked == grid.start.tolist()
    assert layout.step(walked[-1], -len(walked)) == walked[0]


def test_fitting_bucket_is_the_smallest_that_fits() -> None:
    bucket = fitting_bucket(REGIONS, 16, 8, PAGE)
    assert lay_out_rows(REGIONS, bucket, 16).rows <= 8
    assert bucket == PAGE or lay_out_rows(REGIONS, bucket // 2, 16).rows > 8


def test_a_terabyte_is_laid_out_without_filling_it() -> None:
    huge = (region(1 << 40, 1 << 28),)
    layout = lay_out_rows(huge, PAGE, 64)
    assert layout.rows == 1 << 22
    assert len(layout.grid(1_000_000, 20)) == 20 * 64
    assert len(overview_grid(huge, 512, PAGE)) == 512


def test_cells_say_pure_mixed_and_absent() -> None:
    codes = cell_codes(
        page_map([[0, 0, 0, 0], [100, 0, 0, 0], [96, 4, 0, 0], [80, 20, 0, 0], [0, 60, 40, 0], [0, 0, 0, 9]])
    ).tolist()
    assert [kind_of(code) for code in codes] == [ABSENT, PURE, PURE, MIXED, MUCH_MIXED, PURE]
    assert [nodes_of(code) for code in codes[1:]] == [(0, -1), (0, -1), (0, 1), (1, 2), (-1, -1)]


def test_only_pages_that_came_from_another_node_count_as_changed() -> None:
    before = page_map([[10, 0, 0, 0], [10, 0, 0, 0], [10, 0, 0, 0]])
    after = page_map([[5, 5, 0, 0], [20, 0, 0, 0], [10, 0, 0, 0]])
    assert changed_share(before, after).tolist() == [0.5, 0.0, 0.0]


def test_the_window_keeps_the_cursor_through_zoom_and_growth() -> None:
    window = MapWindow()
    window.resize(16, 8)
    assert window.set_regions(REGIONS)
    assert window.fits
    window.go_to(0x300000 + 100 * PAGE)
    at = window.cursor
    assert at is not None
    assert window.zoom(1) and not window.fits
    assert window.layout is not None and window.layout.place(at) is not None
    assert window.cursor == at
    row = window.layout.place(at)
    assert row is not None and window.top <= row[0] < window.top + window.rows
    bucket = window.layout.bucket_bytes
    window.set_regions((*REGIONS[:4], region(0x600000, 500)))
    assert window.layout.bucket_bytes == bucket and window.cursor == at
    window.fit()
    assert window.fits


def test_the_window_moves_within_the_map() -> None:
    window = MapWindow()
    window.resize(16, 4)
    window.set_regions(REGIONS)
    for way in ("up", "left", "page_up", "first"):
        window.move(way)
        assert window.cursor == 0x100000 // window.layout.bucket_bytes * window.layout.bucket_bytes
    for way in ("last", "down", "right", "page_down"):
        window.move(way)
        assert window.cursor == window.layout.last_address


def test_unread_buckets_are_told_from_empty_ones() -> None:
    seen = replace(page_map([[0, 0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]]), read=np.array([True, False, True]))
    assert [kind_of(code) for code in cell_codes(seen).tolist()] == [ABSENT, UNREAD, PURE]


def drawn(error: list[float] | None) -> Drawn:
    seen = page_map([[9, 0, 0, 0], [9, 0, 0, 0]])
    seen = replace(seen, error=None if error is None else np.array(error, np.float32))
    return Drawn(seen, cell_codes(seen), np.full(2, -np.inf), cell_codes(seen))


def test_the_map_says_how_exact_it_is() -> None:
    look = Look(Terminal(Colours.MANY, ascii=False))
    assert exactness(look, drawn(None)) == exactness(look, drawn([0.0, 0.0])) == "exact"
    assert exactness(look, drawn([0.0, 0.123])) == "~ ±12%"
    assert drawn([0.0, 0.123]).doubt(look, 0) == ("", "")
    assert drawn([0.0, 0.123]).doubt(look, PAGE) == ("~", " ±12%")


class Watched:
    """A looker at a simulated machine, and what it shows after each look."""

    def __init__(self, *layouts: np.ndarray, bucket: int) -> None:
        self.backend = machine(*(1 << 23,) * 3)
        add_process(self.backend, *layouts)
        self.now = 0.0
        self.looker = Looker(self.backend, lambda: self.now, lambda: 0.0)
        regions = self.backend.regions(PID)
        identity = self.backend.process(PID).identity
        self.watch = Watch(identity=identity, grid=lay_out(regions, bucket), version=1, rows=(identity,))
        self.maps: list[bool] = []
        self.regions: list[list[bool] | None] = []

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            due, look = self.looker.next(self.watch)
            if due > until or look is None:
                break
            self.now = max(self.now, due)
            before = self.looker.map, self.looker.regions
            look(self.watch)
            self.now += 1e-4
            if self.looker.map is not before[0] and self.looker.map is not None:
                self.maps.append(self.looker.map.page_map.estimated)
            if self.looker.regions is not before[1] and self.looker.regions is not None:
                placements = self.looker.regions.placements
                self.regions.append(None if placements is None else [p.estimated for p in placements])


def test_a_small_process_is_counted_at_once() -> None:
    watched = Watched(np.zeros(5000, np.uint8), bucket=64 * PAGE)
    watched.run(3)
    assert set(watched.maps) == {False}
    assert watched.regions[-1] == [False]
    assert watched.looker.census is not None and watched.looker.census.complete


def test_a_large_process_is_estimated_first_and_counted_where_that_is_affordable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "EXACT_BELOW_BYTES", 1 << 20)
    published: list[bool] = []
    watched = Watched(np.zeros(200_000, np.uint8), bucket=1 << 24)
    show = looking.MapSeen
    monkeypatch.setattr(
        looking,
        "MapSeen",
        lambda *seen: published.append(seen[1].estimated) or show(*seen),  # type: ignore[func-returns-value]
    )
    watched.run(0.5)
    assert published == [True, False]
    watched.run(3)
    assert set(published[2:]) == {False}


def test_what_is_too_large_stays_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_COUNTED_BYTES", 1 << 20)
    monkeypatch.setattr(looking, "counts_quickly", lambda *_: False)
    watched = Watched(np.zeros(200_000, np.uint8), np.ones(50, np.uint8), bucket=1 << 24)
    watched.run(3)
    assert set(watched.maps) == {True}
    assert watched.regions[-1] == [True, False]
