"""A pane and a table: widgets that draw themselves line by line, with a cursor that holds a key, not a row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.style.look import Look, Spans, width_of
from tui.threads.snapshots import Trouble

__all__ = ["Lines", "Pane", "Table"]

Key = TypeVar("Key", bound=Hashable)


class Lines(Widget):
    """Draws lines of spans."""

    def __init__(self, look: Look, *, name: str) -> None:
        super().__init__(id=name)
        self.look = look
        self.trouble: Trouble | None = None
        """Why the latest look failed: what is drawn is what was seen before."""
        self._old = ""

    def show_trouble(self, trouble: Trouble | None, age_s: float | None) -> None:
        """:param age_s: of what was seen last; None: nothing ever was"""
        old = "" if trouble is None or age_s is None else f"{age_s:.0f} s old"
        if (trouble, old) != (self.trouble, self._old):
            self.trouble, self._old = trouble, old
            self.refresh()

    @property
    def waiting(self) -> str:
        """What is said where nothing was seen yet."""
        return "looking" if self.trouble is None else f"not seen: {self.look.shown(self.trouble.cause)}"

    def aged(self, strip: Strip, y: int) -> Strip:
        """A line as it is to be shown: dimmed where it is old."""
        return strip if self.trouble is None else self.look.faded(strip)

    def line(self, y: int, width: int) -> Spans:
        """What is in line ``y``."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        return self.aged(self.look.strip(self.line(y, self.size.width), self.size.width), y)

    def both_ends(self, left: Spans, right: Spans, width: int, *, keep_right: bool = True) -> Spans:
        """Left and right in one line; where there is no room for both, one is cut or left out."""
        gap = width - width_of(left) - width_of(right)
        if gap > 0:
            return [*left, (" " * gap, self.look.plain), *right]
        if not keep_right:
            return left
        return [*self.look.cut(left, width - width_of(right) - 1), (" ", self.look.plain), *right]


class Pane(Lines, can_focus=True):
    """Has a title line, can have the focus, and understands the words for moving a cursor."""

    class Changed(Message):
        """The cursor is on something else."""

        def __init__(self, pane: Pane) -> None:
            super().__init__()
            self.pane = pane

    class Entered(Message):
        """Clicked twice: as with the enter key."""

    def title(self, width: int) -> Spans:
        raise NotImplementedError

    def body(self, y: int, width: int) -> Spans:
        """Line ``y`` below the title."""
        raise NotImplementedError

    def move_cursor(self, way: str) -> None:
        """``up down left right first last page_up page_down``."""
        raise NotImplementedError

    def named(self, name: str) -> Spans:
        """The name of the pane, as every title begins."""
        bar = (self.look.glyphs.focus, self.look.bold) if self.has_focus else (" ", self.look.plain)
        return [bar, (name, self.look.bold if self.has_focus else self.look.label)]

    def line(self, y: int, width: int) -> Spans:
        return self.title(width) if y == 0 else self.body(y - 1, width)

    def aged(self, strip: Strip, y: int) -> Strip:
        """The title says how old it is."""
        shown = super().aged(strip, y)
        if y or not self._old:
            return shown
        words = f"  {self._old}"
        kept = shown.crop(0, max(0, shown.cell_length - len(words)))
        return Strip.join([kept, self.look.strip([(words, self.look.bold)], len(words))])

    def on_focus(self, event: events.Focus) -> None:
        self.refresh()

    def on_blur(self, event: events.Blur) -> None:
        self.refresh()


class Table(Pane, Generic[Key]):
    """Rows by key, under a line of column names."""

    HEAD = 2
    """Lines above the rows: title and column names."""

    def __init__(self, look: Look, *, name: str) -> None:
        super().__init__(look, name=name)
        self.keys: Sequence[Key] = ()
        self.cursor: Key | None = None
        self._top = 0

    def columns(self, width: int) -> Spans:
        """The line of column names."""
        raise NotImplementedError

    def row(self, key: Key, width: int) -> Spans:
        raise NotImplementedError

    def empty(self, width: int) -> Spans:
        """What is said where there are no rows."""
        raise NotImplementedError

    def foot(self, width: int) -> Spans | None:
        """A line that takes the place of the last row."""
        return None

    @property
    def lines(self) -> int:
        """Rows that can be seen."""
        return max(1, self.size.height - self.HEAD - (1 if self.foot(self.size.width) is not None else 0))

    @property
    def shown(self) -> Sequence[Key]:
        """Rows that are in view."""
        return self.keys[self._top : self._top + self.lines]

    def set_keys(self, keys: Sequence[Key]) -> None:
        """Other rows, or the same in another order: the cursor stays with what it is on, or else where it is."""
        if keys == self.keys and (self.cursor is not None or not keys):
            return
        at = self._index()
        self.keys = keys
        if self.cursor not in keys:
            self.cursor = keys[min(at, len(keys) - 1)] if keys else None
            self.post_message(self.Changed(self))
        self._top = max(0, min(self._top, len(keys) - self.lines))
        self.refresh()

    def go_to(self, key: Key) -> None:
        """The cursor on a row."""
        if key != self.cursor and key in self.keys:
            self.cursor = key
            self.post_message(self.Changed(self))
        self._reveal()
        self.refresh()

    def move_cursor(self, way: str) -> None:
        if not self.keys:
            return
        half = max(1, self.lines // 2)
        last = len(self.keys) - 1
        steps = {"down": 1, "up": -1, "first": -last, "last": last, "page_down": half, "page_up": -half}
        self.go_to(self.keys[max(0, min(last, self._index() + steps.get(way, 0)))])

    def body(self, y: int, width: int) -> Spans:
        if y == 0:
            return self.columns(width)
        foot = self.foot(width)
        if foot is not None and y == self.size.height - 2:
            return foot
        at = self._top + y - 1
        if not self.keys:
            return self.empty(width) if y == 1 else []
        return self.row(self.keys[at], width) if at < len(self.keys) else []

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        at = self._top + y - self.HEAD
        foot_line = self.size.height - 1 if self.foot(width) is not None else -1
        on_cursor = (
            self.HEAD <= y < self.HEAD + self.lines
            and y != foot_line
            and at < len(self.keys)
            and self.keys[at] == self.cursor
        )
        return self.aged(self.look.strip(self.line(y, width), width, self.cursor_style() if on_cursor else None), y)

    def cursor_style(self) -> Style:
        return self.look.cursor if self.has_focus else self.look.cursor_away

    def on_resize(self, event: events.Resize) -> None:
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        at = self._top + event.y - self.HEAD
        if self.HEAD <= event.y < self.HEAD + self.lines and at < len(self.keys):
            self.go_to(self.keys[at])
            if event.chain == 2:
                self.post_message(self.Entered())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(-3)

    def _scroll(self, rows: int) -> None:
        self._top = max(0, min(len(self.keys) - self.lines, self._top + rows))
        self.refresh()

    def _index(self) -> int:
        if self.cursor is None or self.cursor not in self.keys:
            return min(getattr(self, "_last_index", 0), max(0, len(self.keys) - 1))
        self._last_index = self.keys.index(self.cursor)
        return self._last_index

    def _reveal(self) -> None:
        at = self._index()
        self._top = max(at - self.lines + 1, min(self._top, at))
        self._top = max(0, min(self._top, len(self.keys) - self.lines))
