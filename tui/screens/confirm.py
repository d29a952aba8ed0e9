"""A question with one sentence and two answers."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.look import Look
from tui.screens.dialog import Dialog

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
        self.box.show([[(f" {self._sentence}", look.plain)], [], keys])

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
