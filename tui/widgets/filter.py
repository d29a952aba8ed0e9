"""The line where a filter is typed; it takes the place of the hints."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import Input

__all__ = ["FilterBar"]


class FilterBar(Input):
    """Filters while it is typed: enter keeps, esc clears."""

    class Closed(Message):
        """Done with typing; what was typed stays."""

    def __init__(self) -> None:
        super().__init__(
            id="filter", placeholder="filter: enter keeps, esc clears", compact=True, select_on_focus=False
        )
        self.display = False

    def open(self, text: str) -> None:
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        self.screen.set_focus(self)  # at once: focus() would wait, and the next key go elsewhere

    def on_blur(self, event: events.Blur) -> None:
        self.post_message(self.Closed())
