"""The line where something is typed; it takes the place of the hints."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

__all__ = ["FILTER", "FIND", "NODE", "FilterBar", "FilterLine"]

FILTER, FIND, NODE = "filter", "find", "node"
"""What is typed: what a list shows, what stands out on the map or where to go there, the number of a node."""


class FilterBar(Input):
    """Acts while it is typed: enter keeps, esc clears."""

    class Closed(Message):
        """Done with typing; what was typed stays."""

    def __init__(self) -> None:
        super().__init__(id="filter", compact=True, select_on_focus=False)
        self.display = False
        self.purpose = FILTER

    def open(self, text: str, purpose: str = FILTER, placeholder: str = "filter: enter keeps, esc clears") -> None:
        self.purpose, self.placeholder = purpose, placeholder
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        self.screen.set_focus(self)  # at once: focus() would wait, and the next key go elsewhere

    def on_blur(self, event: events.Blur) -> None:
        self.post_message(self.Closed())


class FilterLine(Horizontal):
    """What is typed, and behind it what is wrong with it."""

    def __init__(self, bar: FilterBar) -> None:
        super().__init__(id="filter-line")
        self.display = False
        self._bar = bar
        self._fault = Static(id="filter-fault", markup=False)

    def compose(self) -> ComposeResult:
        yield self._bar
        yield self._fault

    def show_fault(self, fault: str) -> None:
        """One line; "" where all is well."""
        self._fault.update(fault)
        self._fault.display = bool(fault)
