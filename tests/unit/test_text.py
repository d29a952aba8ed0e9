"""Hostile names."""

import pytest

from numamig.text import plain


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x07", "␛[31mred␇"),
        ("two\nlines\ttab\r", "two␊lines␉tab␍"),
        ("abc\u202etxt.exe\u200b", "abc\\u202etxt.exe\\u200b"),
        ("\x9b1A\x7f", "\\x9b1A␡"),
        ("a\u0300\u0301\u0302b", "à\\u0301\\u0302b"),
        ("raw\udcff", "raw\\xff"),
        ("\u3164", "\\u3164"),
        ("non\u00a0breaking", "non breaking"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("para\u2029graph", "para\\u2029graph"),
        ("e\u0301", "é"),
        ("z\u0335\u0321\u0489", "z\\u0335\\u0321\\u0489"),
        ("数据库", "数据库"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_could_steer_or_deceive_is_made_visible(hostile: str, harmless: str) -> None:
    assert plain(hostile) == harmless


def test_honest_names_stay() -> None:
    assert plain("[bold]postgres[/]") == "[bold]postgres[/]"
    assert plain("müller-データ") == "müller-データ"


def test_ascii_only() -> None:
    assert plain("é\x1b数", only_ascii=True) == "\\xe9\\x1b\\u6570"
    for code in range(0x3000):
        assert plain(chr(code), only_ascii=True).isascii()
        assert plain(chr(code), only_ascii=True).isprintable()
