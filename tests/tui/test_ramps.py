"""Bars, plots and styles, glyph by glyph."""

from __future__ import annotations

from tui.style.look import Look
from tui.style.ramps import ASCII, UNICODE, apportion, blend, digit, meter, spark_rows
from tui.style.terminal import Colours, Terminal, detect


def text(spans: list[tuple[str, object]]) -> str:
    return "".join(piece for piece, _ in spans)


def test_apportion_leaves_nothing_out() -> None:
    assert apportion({0: 50, 1: 50}, 4) == [0, 0, 1, 1]
    assert apportion({0: 1, 1: 10**9}, 4) == [0, 1, 1, 1]
    assert apportion({0: 1, 1: 1, 2: 1, 3: 10**9}, 2) in ([0, 3], [1, 3], [2, 3])
    assert apportion({}, 4) == [] == apportion({0: 5}, 0)
    for width in range(1, 40):
        assert len(apportion({0: 7, 1: 11, 5: 1, 9: 3}, width)) == width


def test_digits_of_many_nodes() -> None:
    assert [digit(n) for n in (0, 9, 10, 35, 36, -1)] == ["0", "9", "A", "Z", "+", "?"]


def test_meter_shows_a_trace() -> None:
    assert meter(0.5, 4, UNICODE) == ("██", "··")
    assert meter(0.001, 4, UNICODE) == ("▏", "···")
    assert meter(0.0, 4, UNICODE) == ("", "····")
    assert meter(1.0, 4, ASCII) == ("####", "")


def test_spark_rows() -> None:
    assert spark_rows([1, 8, 16], 2, 16, UNICODE) == ["  █", "▁██"]


def test_blend() -> None:
    assert blend("#ffffff", "#000000", 0.5) == "#808080"


def test_home_is_dark_and_strangers_glow() -> None:
    look = Look(Terminal(Colours.MANY, ascii=False))
    _, home = look.pure(0, home=True, named=True)
    _, away = look.pure(0, home=False, named=True)
    assert away.bgcolor is not None and away.bgcolor.name == "#5aa5ff"
    assert home.bgcolor is not None and home.bgcolor.name == blend("#5AA5FF", "#0d0f18", 0.28)


def test_without_colour_the_glyphs_say_it() -> None:
    look = Look(Terminal(Colours.NONE, ascii=False))
    assert text(look.bar({0: 4, 1: 4, 2: 4, 3: 4}, 16, home=(1,))) == "0░░░1   2▒▒▒3╳╳╳"
    plain = Look(Terminal(Colours.NONE, ascii=True))
    assert text(plain.bar({0: 4, 1: 4, 2: 4, 3: 4}, 16, home=())) == "0:::1///2===3###"
    for glyphs in (look.bar({0: 1, 1: 1}, 4, home=()), plain.bar({0: 1, 1: 1}, 4, home=())):
        assert all(style.color is None and style.bgcolor is None for _, style in glyphs)


def test_sixteen_colours_are_the_terminals_own() -> None:
    look = Look(Terminal(Colours.SIXTEEN, ascii=False))
    _, home = look.pure(1, home=True, named=True)
    _, away = look.pure(1, home=False, named=True)
    assert home.color is not None and home.color.name == "yellow" and home.bgcolor is None
    assert away.bgcolor is not None and away.bgcolor.name == "yellow"


def test_what_the_terminal_can_show() -> None:
    assert detect({"TERM": "screen"}).colours is Colours.SIXTEEN
    assert detect({"TERM": "xterm-16color"}).colours is Colours.SIXTEEN
    assert detect({"TERM": "xterm-256color"}).colours is Colours.MANY
    assert detect({"TERM": "xterm", "COLORTERM": "truecolor"}).colours is Colours.MANY
    assert detect({"TERM": "xterm-256color", "NO_COLOR": ""}).colours is Colours.MANY
