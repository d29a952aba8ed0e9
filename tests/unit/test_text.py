"""Hostile names."""

from numamig.text import plain


def test_what_could_steer_a_terminal_is_made_visible() -> None:
    assert plain("\x1b[31mred\x07") == "␛[31mred␇"
    assert plain("two\nlines\ttab\r") == "two␊lines␉tab␍"
    assert plain("abc\u202etxt.exe\u200b") == "abc�txt.exe�"
    assert plain("\x9b1A\x7f") == "�1A␡"


def test_honest_names_stay() -> None:
    assert plain("[bold]postgres[/]") == "[bold]postgres[/]"
    assert plain("müller-データ") == "müller-データ"
