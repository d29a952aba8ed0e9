"""What is seen while a machine is being opened: the console's frame, and which machine it will be."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tui.style.look import Look, Spans

__all__ = ["OpeningScreen"]

_TITLE = 5
"""The line where the main screen begins to list processes."""


class OpeningScreen(Screen[None]):
    """Imports nothing of the engine: it is there before that is.

    :param words: what is being opened
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "quit")]

    def __init__(self, look: Look, words: str) -> None:
        super().__init__()
        self._frame = _Frame(look, words)

    def compose(self) -> ComposeResult:
        yield self._frame


class _Frame(Widget):
    DEFAULT_CSS = "_Frame { width: 1fr; height: 1fr; }"

    def __init__(self, look: Look, words: str) -> None:
        super().__init__()
        self._look, self._words = look, words

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        return self._look.strip(self._line(y, height), width)

    def _line(self, y: int, height: int) -> Spans:
        look = self._look
        if y == 0:
            return [(" numamig  ", look.bold), (f"opening {look.shown(self._words)}", look.plain)]
        if y == height - 1:
            return [(" q", look.bold), (" quit", look.label)]
        if y == _TITLE:
            return [(look.glyphs.focus, look.bold), ("Processes", look.bold)]
        return []
