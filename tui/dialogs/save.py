"""The dialog that saves what was done, or is planned, as a profile."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from tui.dialogs.dialog import Dialog
from tui.style.look import Look

__all__ = ["SaveDialog"]


class SaveDialog(Dialog[str]):
    """Answers with the name of a file; with None where nothing is to be saved."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "back", id="save-back", show=False)]

    def __init__(self, look: Look, what: str) -> None:
        """
        :param what: is saved, in words
        """
        super().__init__(look, "save as a profile")
        self._what = what
        self.name_field = Input(f"numamig-{time.strftime('%Y-%m-%d-%H%M')}.yaml", id="save-name", compact=True)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="ascii" if self.look.ascii else "") as frame:
            frame.border_title = self._title
            yield self.name_field
            yield self.box

    def on_mount(self) -> None:
        look = self.look
        self.box.show(
            [
                [],
                [(f" {self._what}, written down so that numamig replay FILE does it again", look.plain)],
                [],
                [(" enter", look.bold), (" save   ", look.label), ("esc", look.bold), (" back", look.label)],
            ]
        )
        self.name_field.focus()

    @on(Input.Submitted)
    def _named(self, event: Input.Submitted) -> None:
        if name := event.value.strip():
            self.dismiss(name)
