"""A dialog: a box of lines in the middle of the screen."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.strip import Strip

from tui.dialogs.shade import shaded_lines
from tui.style.look import Look, Spans
from tui.widgets.pane import Lines

__all__ = ["Box", "Dialog"]

Result = TypeVar("Result")


class Box(Lines):
    """Shows the lines that it is given."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="box")
        self._shown: list[Spans] = []

    def show(self, lines: list[Spans]) -> None:
        if len(lines) != len(self._shown):
            self.styles.height = len(lines)
        self._shown = lines
        self.refresh()

    def line(self, y: int, width: int) -> Spans:
        return self._shown[y] if y < len(self._shown) else []


class Dialog(ModalScreen[Result]):
    """Made of one box with a title on its border; subclasses fill the box."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "dialog_help", "keys of this dialog", id="dialog-help", show=False)
    ]

    def __init__(self, look: Look, title: str) -> None:
        super().__init__()
        self.look = look
        self.box = Box(look)
        self._title = title

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="ascii" if self.look.ascii else "") as frame:
            frame.border_title = self._title
            yield self.box

    def render_lines(self, crop: Region) -> list[Strip]:
        """The screen below, shaded."""
        shaded = shaded_lines(self, crop)
        return super().render_lines(crop) if shaded is None else shaded

    def action_dialog_help(self) -> None:
        from tui.dialogs.help import Help, keys_of  # help is a dialog itself

        self.app.push_screen(Help(self.look, keys_of(type(self), self._title)))
