"""docs/console.md tells of every key and theme there is, in the words of the registry."""

from __future__ import annotations

from pathlib import Path

from tests.tui.keytables import tables, written
from tui.actions import ACTIONS
from tui.style.themes import THEMES

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "console.md").read_text(encoding="utf-8")


def test_its_tables_are_those_of_the_registry() -> None:
    assert written(_DOCUMENT) == _DOCUMENT, "python -m tests.tui.keytables writes them anew"
    for action in ACTIONS:
        assert action.method == "spotlight" or action.help in tables()


def test_it_tells_of_every_theme() -> None:
    assert all(f"| `{theme}` |" in _DOCUMENT for theme in THEMES)
