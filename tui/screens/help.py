"""All keys, made from the registry that the bindings are made from."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.action import MOST_NODES, Action, keys_text
from tui.actions import ACTIONS
from tui.actions.dialogs import EARLIER_ACTIONS, EDIT_ACTIONS, LEDGER_ACTIONS, PLAN_ACTIONS, UNDO_ACTIONS
from tui.look import Look, Spans
from tui.screens.dialog import Dialog

__all__ = ["Help", "help_lines"]

_GROUPS = ("move", "lists", "map", "node", "job", "view", "plan", "undo", "edit", "earlier", "ledger")


def help_lines(look: Look) -> list[Spans]:
    """A line for each action, by group; the ten digits are one."""
    lines: list[Spans] = []
    for group in _GROUPS:
        name = group
        for action in (*ACTIONS, *PLAN_ACTIONS, *UNDO_ACTIONS, *EDIT_ACTIONS, *EARLIER_ACTIONS, *LEDGER_ACTIONS):
            if action.group != group or (
                action.argument in range(1, MOST_NODES) and action.method in ("spotlight", "node")
            ):
                continue
            keys, text = _named(action)
            lines.append([(f" {name:<6}", look.label), (f"{look.fit(keys, 14)} ", look.bold), (text, look.plain)])
            name = ""
    return lines


def _named(action: Action) -> tuple[str, str]:
    if action.method == "spotlight":
        return "0 to 9", "show only that node in colour, and again"
    if action.method == "node":
        return "0 to 9", "to that node"
    return keys_text(action), action.help


class Help(Dialog[None]):
    """Scrolls where it is longer than the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "leave", "back", id="help-leave", show=False),
        Binding("j,down", "scroll(1)", "down", id="help-down", show=False),
        Binding("k,up", "scroll(-1)", "up", id="help-up", show=False),
        Binding("ctrl+d,pagedown", "scroll(10)", "page down", id="help-page-down", show=False),
        Binding("ctrl+u,pageup", "scroll(-10)", "page up", id="help-page-up", show=False),
    ]

    def __init__(self, look: Look) -> None:
        super().__init__(look, "keys")
        self._lines = help_lines(look)
        self._top = 0

    def on_mount(self) -> None:
        self.action_scroll(0)

    def on_resize(self) -> None:
        self.action_scroll(0)

    def action_scroll(self, lines: int) -> None:
        room = max(3, self.size.height - 6)
        self._top = max(0, min(len(self._lines) - room, self._top + lines))
        shown = self._lines[self._top : self._top + room]
        look = self.look
        below = len(self._lines) - self._top - len(shown)
        foot: Spans = [(" esc", look.bold), (" back", look.label)]
        if below or self._top:
            foot += [("   j k", look.bold), (f" scroll, {below} more", look.label)]
        self.box.show([*shown, [], foot])

    def action_leave(self) -> None:
        self.dismiss(None)
