"""Choosing on the page map, by keys and by mouse: what is marked is seen, and it and nothing else moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.pilot import Pilot

from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.model.process import Region, RegionKind
from tests.tui.consoles import ANON, HEAP, World, line_with, main, press, until, world
from tui.app import NumamigApp
from tui.pages.mapview import LABEL
from tui.plans.addresses import in_regions, size_of
from tui.plans.choice import Marks

WIDE, SMALL = (120, 40), (80, 24)
PAGE = 4096
CELL = 4
"""Pages of a cell, at the zoom at which all of ``db`` fits a wide screen."""


def console(made: World) -> NumamigApp:
    return NumamigApp(made.backend, speed=1000.0)


async def at_map(pilot: Pilot[Any], *, anon: bool = False) -> None:
    """The cursor on the first cell of the heap of ``db``, or of its other memory."""
    app = pilot.app
    assert isinstance(app, NumamigApp)
    await until(pilot, lambda: line_with(app, "exact") and line_with(app, " 7f0000000000 anon"))
    await press(pilot, "enter", *(["j"] if anon else []), "enter")
    await until(pilot, lambda: line_with(app, f"◆ {ANON if anon else HEAP:x}"))


async def moved(pilot: Pilot[Any], node: str, pages: int) -> None:
    """Move what is chosen, by keys, and wait until it has happened."""
    app = pilot.app
    assert isinstance(app, NumamigApp)
    await press(pilot, "m", node)
    await until(pilot, lambda: line_with(app, f"{pages:,} pages = "))
    await press(pilot, "y")
    await until(pilot, lambda: line_with(app, f"= {pages:,} chosen"))


def on_node(made: World, node: int, backing: str = "heap") -> list[int]:
    """Which pages of the heap are there, by the page table."""
    return np.flatnonzero(getattr(made, backing).node == node).tolist()


async def test_a_range_is_marked_and_only_its_pages_move() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await press(pilot, "l", "l", "v", "l", "l", "l")
        await until(pilot, lambda: line_with(app, "range 64K") and line_with(app, "v mark range"))
        await press(pilot, "v")
        await until(pilot, lambda: line_with(app, "1 range 64K"))
        assert line_with(app, "    heap ")[55:].startswith("0 ●●●◆")
        await press(pilot, "j", "h", "v", "l", "space")
        await until(pilot, lambda: line_with(app, "2 ranges 96K"))
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "db 100 (yours) · 2 ranges of 96K"))
        await press(pilot, "escape")
        await moved(pilot, "2", 24)
        assert on_node(made, 2) == [*range(8, 24), *range(272, 280)]
        assert made.nodes_of(made.anon) == {0: 1024, 1: 1024}
        assert main(app).narrator.command.count("--address") == 2


async def test_space_takes_a_cell_out_again() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await press(pilot, "v", "l", "l", "v", "h", "space")
        await until(pilot, lambda: line_with(app, "2 ranges 32K"))
        await moved(pilot, "2", 8)
        assert on_node(made, 2) == [*range(4), *range(8, 12)]


async def test_a_cell_is_taken_out_of_a_marked_region() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await press(pilot, "escape", "space", "k", "enter")
        await until(pilot, lambda: line_with(app, "1 region 4.0M"))
        assert line_with(app, "    heap ")[55:].startswith("◆●●●●")
        await press(pilot, "space")
        await until(pilot, lambda: line_with(app, "1 range 4.0M") and not line_with(app, "1 marked"))
        await moved(pilot, "2", 1020)
        assert on_node(made, 0) == list(range(4))


async def test_marks_survive_zoom_and_looking_away_and_esc_takes_one_step_at_a_time() -> None:
    app = console(world())
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await press(pilot, "v", "l", "v", "enter")
        await until(pilot, lambda: line_with(app, "cell 4K = 1 page ") and line_with(app, "1 range 32K"))
        await until(pilot, lambda: "0●●●◆●●●0  " in line_with(app, "    heap "))
        await press(pilot, "tab", "tab", "j")
        await until(pilot, lambda: line_with(app, "Map  cache 200"))
        assert not line_with(app, "1 range 32K")
        await press(pilot, "k", "tab", "tab")
        await until(pilot, lambda: "◆●" in line_with(app, "    heap "))
        await press(pilot, "1", "enter", "v", "l")
        await until(pilot, lambda: line_with(app, "range 8K · 1 range 32K"))
        gone = [("range 8K", "range"), ("cell 4K", "zoom"), ("1 range 32K", "marks")]
        for words, what in gone:
            assert line_with(app, words), what
            await press(pilot, "escape")
            await until(pilot, lambda words=words: not line_with(app, words))
        assert main(app).spot == 1 and main(app).active == "map"
        await press(pilot, "escape")
        assert main(app).spot is None and main(app).active == "map"
        await press(pilot, "escape", "escape", "escape")
        assert main(app).active == "processes" and app.is_running


async def test_a_drag_marks_and_a_click_with_shift_extends() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await pilot.mouse_down("#map", offset=(LABEL + 4, 1))
        await pilot.hover("#map", offset=(LABEL + 6, 1))
        await until(pilot, lambda: line_with(app, "range 48K"))
        await pilot.hover("#map", offset=(LABEL + 7, 1))
        await pilot.mouse_up("#map", offset=(LABEL + 7, 1))
        await until(pilot, lambda: line_with(app, "1 range 64K"))
        await pilot.click("#map", offset=(LABEL + 10, 2))
        await until(pilot, lambda: line_with(app, f"◆ {HEAP + (64 + 10) * CELL * PAGE:x}"))
        assert line_with(app, "1 range 64K"), "a click alone marks nothing"
        await pilot.click("#map", offset=(LABEL + 11, 2), shift=True)
        await until(pilot, lambda: line_with(app, "2 ranges 96K"))
        await moved(pilot, "2", 24)
        assert on_node(made, 2) == [*range(16, 32), *range(296, 304)]


async def test_a_drag_beyond_the_edge_scrolls() -> None:
    app = console(world())
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "tab", "tab", "plus", "plus")
        await until(pilot, lambda: line_with(app, "cell 4K") and line_with(app, "view "))
        await pilot.mouse_down("#map", offset=(LABEL + 1, 3))
        await pilot.hover("#map", offset=(LABEL + 1, 6))
        await pilot.hover("#map", offset=(LABEL + 1, main(app).page_map.size.height + 1))
        await until(pilot, lambda: main(app).page_map.window.top > 4)
        await pilot.mouse_up("#map", offset=(LABEL + 1, 9))
        await until(pilot, lambda: main(app).page_map.marked)
        marked = main(app).page_map.marked
        assert marked[0][0] == HEAP + 65 * PAGE and marked[-1][1] > HEAP + 8 * 64 * PAGE
        await pilot.hover("#map", offset=(LABEL + 3, 3))
        assert main(app).page_map.window.range is None


async def test_two_clicks_go_in_the_wheel_scrolls_and_the_small_map_leads_anywhere() -> None:
    app = console(world())
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await pilot.click("#map", offset=(LABEL + 8, 5), times=2)
        await until(pilot, lambda: line_with(app, "cell 4K = 1 page ") and line_with(app, f"◆ {ANON + 32 * PAGE:x}"))
        window = main(app).page_map.window
        await pilot.click("#map", offset=(LABEL + 63, 1))
        await until(pilot, lambda: window.top == window.layout.rows - window.rows)
        page_map = main(app).page_map
        await pilot._post_mouse_events([events.MouseScrollUp], page_map, offset=(LABEL + 8, 5), button=0)
        await until(pilot, lambda: window.top == window.layout.rows - window.rows - 3)
        await pilot._post_mouse_events(
            [events.MouseScrollDown], page_map, offset=(LABEL + 8, 5), button=0, control=True
        )
        await until(pilot, lambda: line_with(app, "cell 16K"))


async def test_the_map_follows_the_front_of_a_job() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot, anon=True)
        app.bridge.orders.add(plan_request(made.backend, Request(100, Node(2), batch_pages=256)), run=False)
        await until(pilot, lambda: line_with(app, "F follow"))
        await press(pilot, "F")
        await until(pilot, lambda: line_with(app, "following job 1") and line_with(app, f"◆ {HEAP:x}"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, f"◆ {HEAP + 256 * PAGE:x}"))
        await press(pilot, "l", "full_stop")
        await until(pilot, lambda: line_with(app, "moved 512") and not line_with(app, "following"))
        assert line_with(app, f"◆ {HEAP + 260 * PAGE:x}")
        await press(pilot, "F")
        await until(pilot, lambda: line_with(app, f"◆ {HEAP + 512 * PAGE:x}"))
        await press(pilot, "x")
        await until(pilot, lambda: line_with(app, "cancelled") and not line_with(app, "following"))


REGIONS = tuple(
    Region(start * PAGE, end * PAGE, kind, "rw-p")
    for start, end, kind in (
        (4, 20, RegionKind.HEAP), (20, 22, RegionKind.ANON), (30, 31, RegionKind.SPECIAL), (40, 64, RegionKind.FILE),
    )
)  # fmt: skip
WHOLE = {page for r in REGIONS if r.kind is not RegionKind.SPECIAL for page in range(r.start // PAGE, r.end // PAGE)}
SPANS = st.tuples(st.integers(0, 70), st.integers(1, 30))
ME = (7, 1)


@given(st.lists(st.one_of(SPANS, st.sampled_from([region.start for region in REGIONS if region.start != 30 * PAGE]))))
def test_marks_are_a_set_of_pages(toggles: list[tuple[int, int] | int]) -> None:
    """Cells and regions are marked in any order; the pages that are marked are those that a set would hold."""
    marks, model = Marks(), set[int]()
    for toggle in toggles:
        if isinstance(toggle, int):  # in the list: a region, as a whole
            region = next(r for r in REGIONS if r.start == toggle)
            its = set(range(region.start // PAGE, region.end // PAGE))
            if toggle in marks.of(ME):
                marks.toggle_region(ME, toggle)
                left = {page for a, b in marks.ranges_in(ME) for page in range(a // PAGE, b // PAGE)}
                model = (model - its) | (its & left)
            else:
                marks.toggle_region(ME, toggle)
                model |= its
            continue
        its = WHOLE & set(range(toggle[0], sum(toggle)))
        marks.toggle(ME, in_regions(REGIONS, toggle[0] * PAGE, sum(toggle) * PAGE), REGIONS)
        model = model - its if its <= model else model | its
    addresses = marks.addresses(ME, REGIONS)
    assert {page for a, b in addresses for page in range(a // PAGE, b // PAGE)} == model
    assert size_of(addresses) == len(model) * PAGE, "no page twice"
