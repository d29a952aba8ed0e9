"""The guided tour in a real terminal with 16 colours: its captions, its keys, and the console that it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.test_console import Terminal

_LAUNCH = (
    "import os; os.chdir({folder!r}); os.environ['XDG_STATE_HOME'] = {folder!r};"
    "from numamig.cli import main; main(['demo', '--by-hand', '--pace', '12'])"
)


@pytest.fixture
def touring(tmp_path: Path) -> Iterator[Terminal]:
    launch = _LAUNCH.format(folder=str(tmp_path))
    terminal = Terminal(tmp_path, {"TERM": "screen"}, only_ascii=False, size=(80, 24), launch=launch)
    yield terminal
    terminal.close()


def test_the_tour_in_a_real_terminal(touring: Terminal, tmp_path: Path) -> None:
    """By hand, so that each chapter stays as it ended until it was seen."""
    for head, caption in (
        ("1/9 Find", "of its memory is elsewhere"),
        ("2/9 Look", "What glows has the long way to go"),
        ("3/9 Mark", "Marked: 2 regions"),
        ("4/9 Plan", "pages are queued, and held"),
        ("5/9 Step", "Another: 1,024 by now"),
        ("6/9 Run", "% of its full speed before, "),
        ("7/9 Account", "Nothing is lost"),
        ("8/9 Save", "numamig replay numamig-demo.yaml"),
        ("9/9 Undo", "As it was: 8"),
    ):
        shown = touring.until(
            lambda screen, texts=(head, caption, "space goes on"): all(text in screen for text in texts)
        )
        assert "SIMULATED" in shown
        touring.press("Space")
    touring.until(lambda screen: "your turn" in screen)
    assert (tmp_path / "numamig-demo.yaml").exists()
    assert "38;2;" not in touring.screen("-e") and "38;5;" not in touring.screen("-e")
    touring.press("m")
    touring.until(lambda screen: "move pages" in screen and "your turn" not in screen)
    touring.press("q")
    touring.until(lambda screen: "move pages" not in screen and "? help" in screen)
    touring.press("q")
    touring.until(lambda screen: "left with 0" in screen and "numamig replay numamig-demo.yaml does it again" in screen)
