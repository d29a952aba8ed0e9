"""Exact rows of the page map, of page maps that are made up: each glyph, lens and kind of terminal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rich.style import Style

from numamig.migrate.left import LeftPages
from numamig.migrate.stayed import StayedSeen
from numamig.model.outcome import Outcome
from numamig.model.pageflags import PageFlag
from numamig.model.process import RegionKind
from tests.tui.maps import BASE, PAGE, ascii_look, colourful, few, mono, row, styles, text, view
from tui.pages.mapview import MapView
from tui.style.look import Look
from tui.threads.lenses import Lens, LensData

LITTLE, MUCH = {0: 13, 1: 3}, {0: 9, 1: 7}
SHARED, PINNED, BUSY, HUGE = PageFlag.SHARED, PageFlag.PINNED, PageFlag.BUSY, PageFlag.HUGE
PLAIN = [*"0000", LITTLE, MUCH, *"1111", *"?.~", *"222"]
"""Strangers, both kinds of mixed, home, unknown nodes, absent, unread, strangers of another node; 16 cells."""
HEAT = [0, 0.1, 0.3, 0.6, 1] * 3 + [float("nan")]
SOME = {1: {SHARED: 1.0}, 2: {PINNED: 0.02}, 7: {BUSY: 0.1}, 8: {PageFlag.WRITEBACK: 0.5}, 14: {SHARED: 0.3}}


ROWS = {
    (Lens.HOME, mono): ("0░░░001 1 ~·~2▒▒", "0sp░001bb ~·~2▒▒"),
    (Lens.HOME, ascii_look): ("0:::001 1 ~.~2==", "0sp:001bb ~.~2=="),
    (Lens.HOME, colourful): ("0   ░▒1 1 ~·~2  ", "0sp ░▒1bb ~·~2  "),
    (Lens.HOME, few): ("0   ░▒1 1 ~·~2  ", "0sp ░▒1bb ~·~2  "),
    (Lens.NODE, mono): ("0░░░001╱1╱~·~2▒▒", "0░░░001╱1╱~·~2▒▒"),
    (Lens.NODE, ascii_look): ("0:::001/1/~.~2==", "0:::001/1/~.~2=="),
    (Lens.NODE, colourful): ("0   ░▒1 1 ~·~2  ", "0   ░▒1 1 ~·~2  "),
    (Lens.KIND, mono): ("0░░░001 1 ~·~2▒▒", "0sp░001bb ~·~2▒▒"),
    (Lens.KIND, few): ("0   ░▒1 1 ~·~2  ", "0sp ░▒1bb ~·~2  "),
    (Lens.STAY, mono): ("0   001 1 ~·~2  ", "0sp 001bb ~·~2  "),
    (Lens.STAY, ascii_look): ("0   001 1 ~.~2  ", "0sp 001bb ~.~2  "),
    (Lens.STAY, colourful): ("0   001 1 ~·~2  ", "0sp 001bb ~·~2  "),
    (Lens.HEAT, mono): ("~~~~~~~~~~~ ~~~~", "·░▒▓█·░▒▓█· ~▓█~"),
    (Lens.HEAT, ascii_look): ("~~~~~~~~~~~ ~~~~", ".-+*#.-+*#. ~*#~"),
    (Lens.HEAT, colourful): ("~~~~~~~~~~~·~~~~", "0   001 1  ·~2 ~"),
    (Lens.HEAT, few): ("~~~~~~~~~~~ ~~~~", "·░▒▓█·░▒▓█· ~▓█~"),
}
"""(lens, terminal) → the row where nothing else is known, and where some flags and the heat are."""


@pytest.mark.parametrize(("lens", "look"), ROWS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_row_through_each_lens_in_each_terminal(lens: Lens, look: Callable[[], Look]) -> None:
    bare, known = ROWS[lens, look]
    assert text(look(), view(PLAIN, lens=lens)) == bare
    assert text(look(), view(PLAIN, lens=lens, flags=SOME, heat=HEAT)) == known


@pytest.mark.parametrize("bucket_pages", [1, 4, 512, 1 << 18])
def test_it_looks_the_same_at_every_zoom(bucket_pages: int) -> None:
    cells = [*"0011", {0: bucket_pages, 1: 0}, *".~"]
    assert text(mono(), view(cells, bucket_pages=bucket_pages, width=8)) == "0░1 0·~"


def test_kinds_go_by_what_hinders_a_move_and_then_by_what_a_page_is() -> None:
    cells = [*"0AB", "C", *"1111"]
    flags = {2: {SHARED: 1.0}, 3: {PINNED: 0.1, SHARED: 1.0}, 5: {HUGE: 0.6}, 6: {HUGE: 0.4}}
    assert text(colourful(), view(cells, lens=Lens.KIND, flags=flags)) == "0hsp1h  "
    assert text(colourful(), view(cells, lens=Lens.KIND, kind=RegionKind.FILE, flags=flags)) == "fhspfhff"
    assert text(colourful(), view(cells, lens=Lens.KIND, kind=RegionKind.HUGETLB)) == "HHHHHHHH"
    assert text(colourful(), view([*"0..~"], lens=Lens.KIND, kind=RegionKind.FILE)) == "f··~"


def test_what_is_shared_all_over_is_said_now_and_then_so_that_digits_are_seen() -> None:
    every = {nth: {SHARED: 1.0} for nth in range(32)}
    assert text(mono(), view("1" * 32, width=32, flags=every)) == "1   s   " * 4
    assert text(mono(), view("1" * 32, width=32, flags=every, lens=Lens.KIND)) == "s" * 32


def test_rows_begin_with_the_region_and_then_with_how_far_into_it() -> None:
    picture = view("1" * 40)
    assert ["".join(piece for piece, _ in row(mono(), picture, nth)) for nth in range(3)] == [
        "    anon 1       1          0%",
        "     +1M 1       1          0%",
        "     +2M 1                  0%",
    ]


def test_a_row_ends_with_its_share_of_strangers_where_there_is_room_and_a_home() -> None:
    ends = ["".join(piece for piece, _ in row(mono(), view("0011", home=home)))[25:] for home in ((1,), (0, 1), ())]
    assert ends == ["  50%", "   0%", ""]


def colours(picture: MapView, look: Look) -> list[tuple[str | None, str | None]]:
    """Ink and ground of each cell."""
    return [
        (style.color.name if style.color else None, style.bgcolor.name if style.bgcolor else None)
        for style in styles(look, picture)
    ]


def test_strangers_have_their_colour_and_home_is_tinted() -> None:
    (_, away), (_, home) = colours(view("01", home=(1,)), colourful())
    assert away == colourful().colour(0).lower()
    assert home not in (None, colourful().colour(1).lower())
    assert colours(view("01", lens=Lens.NODE), colourful())[1][1] == colourful().colour(1).lower()


def test_sixteen_colours() -> None:
    assert colours(view("01"), few()) == [("black", "blue"), ("yellow", None)]
    assert colours(view("01", lens=Lens.NODE), few()) == [("black", "blue"), ("black", "yellow")]
    assert colours(view([MUCH]), few()) == [("yellow", "blue")]
    assert colours(view("01", lens=Lens.STAY), few()) == [("bright_black", None)] * 2
    marked = styles(few(), view("01", lens=Lens.STAY, flags={0: {PINNED: 1.0}, 1: {SHARED: 1.0}}))
    assert [style.bold for style in marked] == [True, None]
    assert marked[1].bgcolor is not None and marked[1].bgcolor.name == "yellow"


def test_heat_has_five_steps_of_cividis() -> None:
    grounds = [ground for _, ground in colours(view("00000", lens=Lens.HEAT, heat=[0, 0.2, 0.5, 0.7, 1]), colourful())]
    assert grounds == ["#00224e", "#434e6c", "#7d7c78", "#bcae6c", "#fee838"]


def test_without_colours_strangers_among_the_letters_are_bold() -> None:
    known = {nth: {BUSY: 1.0} for nth in range(4)} | {2: {SHARED: 1.0}, 3: {SHARED: 1.0}}
    looked = styles(mono(), view("0110", lens=Lens.KIND, flags=known))
    assert [bool(style.bold) for style in looked] == [True, True, False, True]


def test_cursor_next_batch_and_spotlight() -> None:
    look = colourful()
    picture = view("000111", cursor=BASE + 16 * PAGE, next_batch=(BASE + 40 * PAGE, BASE + 50 * PAGE))
    looked = styles(look, picture)
    assert text(look, picture) == "0◆ 1  "
    assert [bool(style.underline) for style in looked] == [False, False, True, True, False, False]
    assert looked[1] == Style(bold=True, reverse=True)
    lit = colours(view("000111", spot=1), look)
    assert lit[5][1] == look.colour(1).lower() and lit[0][1] not in (None, look.colour(0).lower())


@pytest.mark.parametrize("lens", list(Lens))
def test_cells_flash_through_every_lens_and_not_where_motion_is_off(lens: Lens) -> None:
    look, picture = colourful(), view("0011", lens=lens, flags={2: {PINNED: 1.0}}, heat=[0.0, 0.5, 1.0, 0.0])
    assert picture.drawn is not None
    picture.drawn.changed_at[1:3] = picture.now_s - 0.1
    assert [bool(style.reverse) for style in styles(look, picture)] == [False, True, True, False]
    look.motion = False
    assert not any(style.reverse for style in styles(look, picture))


def test_what_jobs_left_behind_goes_before_what_would_stay() -> None:
    start = BASE + np.array([16, 48, 64], np.uint64) * np.uint64(PAGE)
    pages = np.array([4, 16, 16], np.uint64) * np.uint64(PAGE)
    outcome = np.array([Outcome.BUSY, Outcome.SHARED, Outcome.MOVED], np.int8)
    left = LeftPages.of(start, start + pages, outcome, np.zeros(3, np.int16), np.ones(3, np.int32))
    stayed = StayedSeen((7,), (left,))
    bare = view("000000", lens=Lens.STAY, flags={1: {SHARED: 1.0}, 5: {PINNED: 0.1}})
    assert bare.data.flags is not None
    picture = view("000000", lens=Lens.STAY, data=LensData(bare.data.flags, stayed))
    assert text(mono(), picture) == "0B S p"
