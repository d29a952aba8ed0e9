"""What the mouse does on the page map: a drag marks, two clicks go in, the wheel scrolls, with ctrl it zooms."""

from __future__ import annotations

from textual import events
from textual.timer import Timer

from tui.pages.mapview import LABEL
from tui.pages.seekingmap import SeekingMap
from tui.plans.choice import Marks
from tui.style.look import Look

__all__ = ["PointedMap"]

_DRAG_ON_S = 0.08
"""Between two rows while the mouse is held beyond the edge."""
_WHEEL_ROWS = 3


class PointedMap(SeekingMap):
    """Does by mouse what keys do, where the mouse points."""

    def __init__(self, look: Look, marks: Marks) -> None:
        super().__init__(look, marks)
        self._pressed: tuple[int, int] | None = None
        """Row in view and column where the mouse was pressed."""
        self._dragged = False
        self._beyond = 0
        """-1 or 1 while the mouse is held above or below the map."""
        self._column = 0
        self._drag_timer: Timer | None = None

    def _cell(self, event: events.MouseEvent) -> tuple[int, int]:
        """Row in view and column, also beyond the edges."""
        return event.y - 1 - (0 if self.window.fits else 1), event.x - LABEL

    def on_mouse_down(self, event: events.MouseDown) -> None:
        row, column = self._cell(event)
        self._dragged = False
        if event.button == 1 and not event.shift and 0 <= row < self.window.rows:
            self._pressed = row, column
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed is None or (self._cell(event) == self._pressed and not self._dragged):
            return
        if not self._dragged:
            self._dragged = True
            self.stay()
            self.window.go_to_cell(*self._pressed)
            self.window.begin_range()
        row, self._column = self._cell(event)
        self._beyond = -1 if row < 0 else 1 if row >= self.window.rows else 0
        if self._beyond:
            self._drag_on()
            if self._drag_timer is None:
                self._drag_timer = self.set_interval(_DRAG_ON_S, self._drag_on)
        else:
            self.view(changed=self.window.go_to_cell(row, self._column))

    def _drag_on(self) -> None:
        """A row further, while the mouse is held beyond the edge."""
        if self._beyond:
            changed = self.window.scroll(self._beyond)
            self.window.go_to_cell(0 if self._beyond < 0 else self.window.rows - 1, self._column)
            self.view(changed=changed)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._pressed is None:
            return
        self.release_mouse()
        self._pressed, self._beyond = None, 0
        if self._drag_timer is not None:
            self._drag_timer.stop()
            self._drag_timer = None
        if self._dragged:
            self.mark_range()

    def on_click(self, event: events.Click) -> None:
        if self._dragged:  # this is the end of it
            return
        row, column = self._cell(event)
        if row == -1 and not self.window.fits:
            self._go_to_share(column)
        elif 0 <= row < self.window.rows:
            if event.shift and self.window.range is None:
                self.window.begin_range()
            self.stay()
            self.view(changed=self.window.go_to_cell(row, column))
            if event.shift:
                self.mark_range()
            elif event.chain == 2:
                self.post_message(self.Entered())

    def _go_to_share(self, column: int) -> None:
        """To where a cell of the map of the whole process is."""
        overview, layout = self.window.overview(), self.window.layout
        if overview is not None and layout is not None and 0 <= column < layout.cells and len(overview):
            self.go_to(int(overview.start[column * len(overview) // layout.cells]))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, way: int) -> None:
        self.stay()
        if event.ctrl:
            row, column = self._cell(event)
            self.view(changed=self.window.zoom_at(max(0, row), column, -way))
        else:
            self.view(changed=self.window.scroll(way * _WHEEL_ROWS))
