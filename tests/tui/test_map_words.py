"""The words around a page map that is made up: what is under the cursor, and what the legend explains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numamig.migrate.left import LeftPages
from numamig.migrate.stayed import StayedSeen
from numamig.model.pageflags import PageFlag
from tests.tui.maps import BASE, PAGE, ascii_look, colourful, mono, view
from tui.pages.mapview import MapView
from tui.pages.mapwords import foot, legend, readout
from tui.style.look import Look
from tui.threads.lenses import Lens, LensData

SHARED, PINNED, BUSY = PageFlag.SHARED, PageFlag.PINNED, PageFlag.BUSY
FLAGS = {1: {SHARED: 1.0, PINNED: 0.02}, 2: {BUSY: 0.5}}


def line(spans: list[tuple[str, object]]) -> str:
    return "".join(text for text, _ in spans)


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (0, "◆ 7f0000000000  0  16 pages · anon"),
        (1, "◆ 7f0000010000 +64K  0  13  1  3 pages · shared · pinned 2% · anon"),
        (2, "◆ 7f0000020000 +128K  1  16 pages · 16 huge · busy 50% · anon"),
        (3, "◆ 7f0000030000 +192K no pages · anon"),
        (4, "◆ 7f0000040000 +256K  ?  16 pages · anon"),
    ],
)
def test_what_is_under_the_cursor(bucket: int, expected: str) -> None:
    cells = ["0", {0: 13, 1: 3}, "B", ".", "?"]
    picture = view(cells, flags=FLAGS, cursor=BASE + bucket * 16 * PAGE)
    assert line(readout(mono(), picture)) == expected


def test_a_single_page_has_all_its_flags() -> None:
    known = {1: {SHARED: 1.0, PINNED: 1.0, PageFlag.MLOCKED: 1.0}}
    picture = view("00", bucket_pages=1, flags=known, cursor=BASE + PAGE)
    assert line(readout(mono(), picture)) == "◆ 7f0000001000 +4K  0  1 page · shared pinned mlocked · anon"


@pytest.mark.parametrize(
    ("heat", "words"), [(0.0, "heat ~0/4"), (0.1, "heat ~1/4"), (0.7, "heat ~3/4"), (float("nan"), "heat not known")]
)
def test_heat_under_the_cursor(heat: float, words: str) -> None:
    picture = view("0", lens=Lens.HEAT, heat=[heat], cursor=BASE)
    assert line(readout(mono(), picture)) == f"◆ 7f0000000000  0  16 pages · {words} · anon"


def test_how_long_ago_it_was_read_is_said_where_the_lens_shows_something_of_its_own() -> None:
    def ending(lens: Lens, read_s: float) -> str:
        picture = view("0", lens=lens, flags={}, cursor=BASE)
        return line(readout(mono(), replace(picture, data=replace(picture.data, read_s=read_s))))

    assert ending(Lens.KIND, 92.5).endswith(" · anon · read 7 s ago")
    assert ending(Lens.KIND, 98.0).endswith("pages · anon")
    assert ending(Lens.HOME, 92.5).endswith("pages · anon")


MARKED = {0: {PINNED: 0.1}, 1: {BUSY: 1.0}, 2: {SHARED: 1.0}}
LEGENDS = {
    (Lens.HOME, mono): " 0░ 1  home 2▒  · none  p pinned b busy s shared",
    (Lens.HOME, ascii_look): " 0: 1  home 2=  . none  p pinned b busy s shared",
    (Lens.HOME, colourful): " 0  1  home 2  ░▒ mixed  · none  p pinned b busy s shared",
    (Lens.NODE, mono): " 0░ 1╱ 2▒  · none ",
    (Lens.KIND, mono): " 0░ 1  2▒  · none  p pinned b busy s shared h huge",
    (Lens.STAY, mono): " 0░ 1╱ 2▒  · none  p pinned b busy s shared would stay",
    (Lens.HEAT, mono): " touched in ·· no ░░ <1/4 ▒▒ <1/2 ▓▓ <3/4 ██ most samples ~ not known ",
    (Lens.HEAT, ascii_look): " touched in .. no -- <1/4 ++ <1/2 ** <3/4 ## most samples ~ not known ",
}


@pytest.mark.parametrize(("lens", "look"), LEGENDS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_the_legend_explains_what_the_lens_shows(lens: Lens, look: type[Look]) -> None:
    picture = view("0011B1", lens=lens, flags=MARKED, heat=[0.5] * 6)
    assert line(legend(look(), picture)) == LEGENDS[lens, look]  # type: ignore[call-arg]


def test_the_legend_names_no_letter_that_is_not_there() -> None:
    assert line(legend(mono(), view("01", lens=Lens.KIND, flags={}))).endswith("· none  plain memory of its own")
    assert line(legend(mono(), view("01", lens=Lens.STAY, flags={}))).endswith("· none  nothing is known to stay")
    assert line(legend(mono(), view("01", lens=Lens.HEAT))) == " ~ not known yet"
    assert line(legend(mono(), view("01", next_batch=(BASE, BASE + PAGE)))).endswith("· none  00 next batch ")


def unable(lens: Lens, words: str) -> MapView:
    return view("01", lens=lens, cursor=BASE, data=LensData(missing=words))


def test_what_cannot_be_told_is_said_with_what_would_help() -> None:
    kind = unable(Lens.KIND, "busy, pinned not told (run with sudo)")
    assert line(legend(mono(), kind)) == " 0░ 1  2▒  · none  busy, pinned not told (run with sudo)"
    heat = unable(Lens.HEAT, "DAMON is in use by somebody else: heat can be told when they are done")
    above, below = foot(mono(), heat, 48)
    assert line(above) == " DAMON is in use by somebody else: heat can be"
    assert line(below) == " told when they are done"
    above, below = foot(mono(), heat, 80)
    assert line(above).startswith("◆ 7f0000000000") and line(below).endswith("when they are done")


def test_what_jobs_met_with_is_told_from_what_would_stay() -> None:
    start = np.array([BASE], np.uint64)
    left = LeftPages.of(
        start, start + np.uint64(PAGE), np.array([2], np.int8), np.zeros(1, np.int16), np.ones(1, np.int32)
    )
    bare = view("0001", lens=Lens.STAY, flags=MARKED)
    data = replace(bare.data, stayed=StayedSeen((7, 9), (left, left)))
    picture = view("0001", lens=Lens.STAY, data=data)
    assert line(legend(mono(), picture)) == " 0░ 1╱ 2▒  · none  B busy left by job 7,9  b s would stay"
