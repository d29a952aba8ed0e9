"""The ledger of a job: what became of its pages, why some stayed and what would help, by region; and what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import BindingType

from tui.actions.action import bindings
from tui.actions.dialogs import LEDGER_ACTIONS
from tui.dialogs.dialog import Dialog
from tui.dialogs.findinglines import key_line
from tui.dialogs.ledgerlines import Account, Part, helped_by, ledger_lines, parts_of
from tui.style.look import Look, Spans

__all__ = ["Account", "Chosen", "LedgerDialog"]

Chosen = Part | tuple[Part, ...]
"""The row that is to be shown on the map; or the rows that are to be planned again."""


class LedgerDialog(Dialog[Chosen | None]):
    """Follows the job while it is open. The cursor is on a row of what stayed."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LEDGER_ACTIONS)]

    def __init__(self, look: Look, number: int, account: Callable[[], Account]) -> None:
        super().__init__(look, f"ledger of job {number}")
        self._account = account
        self._top = 0
        self._at = 0

    def on_mount(self) -> None:
        self.draw()
        self.set_interval(1 / 4, self.draw)

    def on_resize(self) -> None:
        self.draw()

    @property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(parts_of(self._account()))

    def action_part(self, way: int) -> None:
        """Behind the last row it goes on down, to what happened."""
        last = len(self._parts) - 1
        if 0 <= self._at + way <= last and (way > 0 or not self._beyond):
            self._at += way
            self._reveal()
        else:
            self._top += way
        self.draw()

    def action_scroll(self, lines: int) -> None:
        self._top += lines
        self.draw()

    def action_map(self) -> None:
        parts = self._parts
        if parts:
            self.dismiss(parts[min(self._at, len(parts) - 1)])

    def action_again(self) -> None:
        """What another job may move, with what it takes."""
        parts = tuple(part for part in self._parts if helped_by((part,)))
        if parts:
            self.dismiss(parts)

    def action_leave(self) -> None:
        self.dismiss(None)

    @property
    def _room(self) -> int:
        return max(3, self.size.height - 4)

    @property
    def _lines(self) -> tuple[list[Spans], dict[Part, int]]:
        parts = self._parts
        here = parts[min(self._at, len(parts) - 1)] if parts else None
        return ledger_lines(self.look, self._account(), min(78, self.size.width) - 4, here)

    @property
    def _beyond(self) -> bool:
        """Whether the row of the cursor is above what is in view."""
        lines = list(self._lines[1].values())
        return bool(lines) and self._top > lines[min(self._at, len(lines) - 1)]

    def _reveal(self) -> None:
        lines = list(self._lines[1].values())
        at = lines[min(self._at, len(lines) - 1)]
        self._top = max(at - self._room + 3, min(self._top, at - 1))

    def draw(self) -> None:
        if not self.is_mounted:
            return
        lines, where = self._lines
        self._top = max(0, min(len(lines) - self._room, self._top))
        shown = lines[self._top : self._top + self._room]
        below = len(lines) - self._top - len(shown)
        again = helped_by(tuple(where))
        keys = [*([("enter", "on the map")] if where else []), *([("m", f"again, {again}")] if again else [])]
        keys.append(("esc", "back"))
        if below or self._top:
            keys.append(("j k", f"{below} more"))
        self.box.show([*shown, [], key_line(self.look, min(78, self.size.width) - 4, keys, "")])
