"""A question with one sentence and two answers."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.dialogs.dialog import Dialog
from tui.style.look import Look

__all__ = ["Confirm"]


class Confirm(Dialog[bool]):
    """Answers True with ``y``, False with ``esc``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="confirm-yes", show=False),
        Binding("escape,n", "answer(False)", "no", id="confirm-no", show=False),
    ]

    def __init__(self, look: Look, title: str, sentence: str, yes: str) -> None:
        super().__init__(look, title)
        self._sentence = sentence
        self._yes = yes

    def on_mount(self) -> None:
        look = self.look
        keys = [(" y", look.bold), (f" {self._yes}   ", look.label), ("esc", look.bold), (" back", look.label)]
        lines = wrap(look.shown(self._sentence), min(78, self.app.size.width) - 6)
        self.box.show([*([(f" {line}", look.plain)] for line in lines), [], keys])

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
