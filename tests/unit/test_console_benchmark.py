"""The benchmark of the console: what it takes for a paint, its percentiles, and that it runs from end to end."""

from __future__ import annotations

import itertools
import json
import random
import sys

import pytest

from benchmarks import console, console_keys
from benchmarks.terminal import Screen, Terminal, Timeout

GROUND, CURSOR = "\x1b[48;2;13;15;24m", "\x1b[1;38;2;1;2;3;48;2;35;42;61m"


def table(cursor: int, resident: str = "3.6G") -> str:
    """What Textual writes for a process table with three rows."""
    rows = [f"    {pid} name {resident}" for pid in (4101, 4102, 4103)]
    lines = [" Processes  most remote first", "     pid name", *rows, " Regions"]
    return "".join(
        f"\x1b[{n + 5};1H\x1b[0m{CURSOR if n - 2 == cursor else GROUND}{line}\x1b[0m" for n, line in enumerate(lines)
    )


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(1, 201)]
    random.Random(1).shuffle(values)
    assert console.percentile(values, 99) == 198.0
    assert console.percentile(values, 50) == 100.0
    assert console.percentile([7.0], 99) == 7.0
    assert console.percentile([1.0, 2.0], 99) == 2.0


def test_the_screen_holds_what_was_written_where() -> None:
    screen = Screen(20, 3)
    answers = screen.feed("\x1b[?2026$p\x1b[?1049h\x1b]0;title\x07\x1b[2;3H\x1b[38;2;1;2;3;48;2;4;5;6mab漢c\x1b[0m.")
    assert answers == "\x1b[?2026;2$y"
    assert screen.line(1).rstrip() == "  ab漢c."
    assert screen.ground(1, 2) == screen.ground(1, 5) == "48;2;4;5;6"
    assert screen.ground(1, 7) == ""
    assert screen.find("c.") is not None
    assert screen.painted


def test_an_update_counts_when_it_is_whole() -> None:
    screen, update = Screen(20, 3), "\x1b[?2026h\x1b[1;1Hbefore\x1b[1;1Hbehind\x1b[?2026l"
    for at, character in enumerate(update, 1):
        screen.feed(character)  # reads may end anywhere, in the middle of a sequence too
        assert screen.whole == (at < len("\x1b[?2026h") or at == len(update))
    assert screen.updates == 1
    assert screen.line(0).rstrip() == "behind"


def test_a_cursor_that_moves_is_told_from_figures_that_change() -> None:
    screen = Screen()
    screen.feed(table(0))
    assert console_keys.process(screen) == "4101"
    screen.feed(table(0, resident="1.2G"))
    assert console_keys.process(screen) == "4101"
    screen.feed(table(1, resident="1.2G"))
    assert console_keys.process(screen) == "4102"


def test_every_kind_of_key_is_pressed() -> None:
    presses = list(itertools.islice(console_keys.walk(random.Random(1)), 2000))
    assert {press.keys for press in presses} >= {
        "j",
        "k",
        "\t",
        "h",
        "l",
        "+",
        "-",
        "3",
        "s",
        "/",
        "m",
        "\x1b",
    }


def test_a_program_that_ends_is_no_paint() -> None:
    with Terminal([sys.executable, "-c", "print('last words')"], {}) as terminal, pytest.raises(Timeout) as caught:
        terminal.until(lambda screen: screen.find("never"))
    assert "last words" in str(caught.value)


def test_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--keys", "6", "--processes", "30", "--moved", str(16 << 30), "--starts", "1"]
    console.main(["--json", *few, "--idle-processes", "20", "--settle", "0.2", "--rest", "1"])
    printed = json.loads(capsys.readouterr().out)
    for key in ("key_to_paint_p50_ms", "key_to_paint_p99_ms", "key_to_paint_reference_p99_ms", "start_ratio"):
        assert printed[key] > 0, key
    assert printed["key_to_paint_p50_ms"] <= printed["key_to_paint_p99_ms"]
    assert printed["idle_cpu_percent"] >= 0
    assert printed["resident_bytes"] > printed["resident_bytes_empty_app"] > 1 << 20
