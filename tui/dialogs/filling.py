"""A dialog with fields: stepped with h and l, or typed behind enter, with what is wrong said beside the field."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from numamig.errors import UsageError
from tui.dialogs.asking import Asking
from tui.dialogs.fieldlines import field_line
from tui.plans.form import Form
from tui.style.look import Look, Spans
from tui.threads.bridge import Bridge

__all__ = ["Filling"]

_BEFORE = 11
"""Cells before a value, and the edge of the box."""
Result = TypeVar("Result")


class _Entry(Input):
    """Lies over the value of a field while that is typed."""

    class Left(Message):
        """Nothing is typed any more."""

    def __init__(self) -> None:
        super().__init__(id="entry", compact=True, select_on_focus=False)
        self.display = False

    def on_blur(self, event: events.Blur) -> None:
        self.post_message(self.Left())


class Filling(Asking[Result]):
    """Every other key acts at once: typing is only what comes between enter and enter, or esc."""

    AUTO_FOCUS: ClassVar[str | None] = ""
    """Nothing: keys are for the dialog until something is typed."""

    def __init__(self, look: Look, bridge: Bridge, title: str, form: Form) -> None:
        super().__init__(look, bridge, title)
        self.form = form
        self.entry = _Entry()
        self.wrong = ""
        """What is wrong with what was typed."""
        self.on_field = True
        """Whether the cursor is on a field."""
        self._fields: list[Spans] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="ascii" if self.look.ascii else "") as frame:
            frame.border_title = self._title
            yield self.box
            yield self.entry

    @property
    def typing(self) -> bool:
        return bool(self.entry.display)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed, enter is for it."""
        return not (self.typing and action == "enter")

    def action_field(self, way: int) -> None:
        if not self.typing or self._take():
            self.step_field(way)
            self.draw()

    def step_field(self, way: int) -> None:
        """The cursor on another field."""
        self.form = self.form.with_field(way)

    def action_value(self, way: int) -> None:
        if self.on_field:
            self.change(self.form.with_value(way))

    def action_node(self, node: int) -> None:
        self.change(self.form.with_target(node))

    def action_enter(self) -> None:
        self.type()

    def action_leave(self) -> None:
        """Out of the field first, then out of the dialog."""
        if self.typing:
            self._close()
        else:
            self.leave()

    def leave(self) -> None:
        self.dismiss(None)

    def change(self, form: Form) -> None:
        """Other settings; what they come to is worked out when keys rest."""
        if form != self.form:
            self.form = form
            self.ask()

    def type(self) -> None:
        """Type into the field under the cursor."""
        self.wrong = self.note = ""
        self.entry.value = ""
        self.entry.display = True
        self.set_focus(self.entry)  # at once: focus() would wait, and the next key go elsewhere
        self.draw()

    def _close(self) -> None:
        self.entry.display = False
        self.wrong = self.note = ""
        self.set_focus(None)
        self.draw()

    def _take(self) -> bool:
        """What was typed, where it can be read; nothing typed changes nothing."""
        text = self.entry.value.strip()
        try:
            form = self.form.typed(text) if text else self.form
        except UsageError as error:
            self.wrong, self.note = error.message, error.hint or ""
            self.draw()
            return False
        self._close()
        self.change(form)
        return True

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._take()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.wrong:
            self.wrong = self.note = ""
            self.draw()

    @on(_Entry.Left)
    def _left(self) -> None:
        if self.typing and self.focused is not self.entry:
            self._close()

    def field_lines(self) -> list[Spans]:
        """One for each field."""
        at = self.form.field if self.on_field else -1
        self._fields = [
            field_line(
                self.look,
                self.form,
                n,
                here=n == at,
                typing=self.typing and n == at,
                wrong=self.wrong if n == at else "",
            )
            for n in range(len(self.form.fields))
        ]
        return self._fields

    def draw(self) -> None:
        if not self.is_mounted:
            return
        lines = self.lines((min(78, self.size.width) - 4, self.size.height - 2))
        if self.typing:
            field = self._fields[self.form.field]
            row = next((y for y, line in enumerate(lines) if line is field), 0)
            self.entry.styles.offset = (_BEFORE, row)
        self.box.show(lines)
