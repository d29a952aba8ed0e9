"""The console with a guide: the same screens, a caption bar below each, and a second hand on the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual import events
from textual.keys import _character_to_key

from numamig.backends.base import Backend
from tui.app import NumamigApp
from tui.screens.main import MainScreen
from tui.tour.bar import CAPTION_LINES, CaptionBar, Shown, State
from tui.tour.guide import PATIENCE_S, Guide
from tui.tour.scene import Scene
from tui.tour.story import story

__all__ = ["TourApp"]

_NOT_TAKING = frozenset({"ctrl+q", "ctrl+c"})
"""They mean the program."""
_PRESSED_S = 2.0
_CHARACTERS = {"enter": "\r", "tab": "\t", "escape": "\x1b"}


class TourApp(NumamigApp):
    """
    :param file: that the profile is saved as
    :param pid: the workload that was started for the tour; None: the one with the most remote memory
    :param count: how fast that workload is, by its own count
    :param pace: of the tour; infinity leaves nothing to be read
    :param leaves: leave the console when the tour is over
    """

    CSS_PATH = ["../app.tcss", "tour.tcss"]  # type: ignore[assignment]  # noqa: RUF012 - as Textual has it

    def __init__(
        self,
        backend: Backend,
        file: Path,
        *,
        pid: int | None = None,
        count: Callable[[], float | None] | None = None,
        pace: float = 1.0,
        by_hand: bool = False,
        patience_s: float = PATIENCE_S,
        leaves: bool = False,
        ascii: bool = False,  # noqa: A002 - called like the option
        speed: float | None = 1.0,
    ) -> None:
        super().__init__(backend, ascii=ascii, speed=speed)
        self.scene = Scene(self, self.bridge, file, pid, count)
        chapters = story(file, real=pid is not None)
        self.guide = Guide(
            self.scene, chapters, self._press, self._caption, pace=pace, by_hand=by_hand, patience_s=patience_s
        )
        self._leaves = leaves
        self._own: set[int] = set()
        """Keys that the tour has pressed, and the console has not seen yet."""
        self._shown = Shown()
        self.add_class("touring")

    def on_mount(self) -> None:  # beside that of the console itself, which Textual calls too
        self.run_worker(self._tour())
        self.set_interval(1 / 20, self._furnish)

    async def _tour(self) -> None:
        while not (isinstance(self.screen, MainScreen) and self.screen.is_mounted):
            await asyncio.sleep(0.01)
        await self.guide.run()
        if self._leaves:
            self.exit(0)

    # Keys

    async def _press(self, key: str) -> None:
        """As the operator would; returns when it has arrived."""
        name = _character_to_key(key) if len(key) == 1 else key
        event = events.Key(name, key if len(key) == 1 else _CHARACTERS.get(key))
        self._own.add(id(event))
        self.post_message(event)
        for _ in range(int(_PRESSED_S / 0.01)):
            if id(event) not in self._own:
                break
            await asyncio.sleep(0.01)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            if id(event) in self._own:
                self._own.discard(id(event))
            elif self._is_the_tours(event.key):
                return
        elif isinstance(event, events.MouseDown) and not event.is_forwarded:
            self.guide.take()
        await super().on_event(event)

    def _is_the_tours(self, key: str) -> bool:
        """A key of the operator's."""
        if self.guide.state is State.OVER:
            self._put_away()
        if key in _NOT_TAKING:
            return False
        if key == "q" and self.guide.state is not State.TAKEN and self.guide.state is not State.OVER:
            self.guide.take()
            self.run_worker(self.action_quit())
            return True
        return self.guide.operator(key)

    # Captions

    def _caption(self, shown: Shown) -> None:
        self._shown = shown
        self._furnish()

    def _furnish(self) -> None:
        """A bar on every screen that there is by now."""
        if not self.has_class("touring"):
            return
        for screen in self.screen_stack:
            if not screen.is_mounted:
                continue
            bar = next((child for child in screen.children if isinstance(child, CaptionBar)), None)
            if bar is None:
                bar = CaptionBar(self.look)
                screen.mount(bar)
            bar.styles.offset = (0, self.size.height - CAPTION_LINES)
            bar.show(self._shown)

    def _put_away(self) -> None:
        """The tour is over, and whoever has the keys wants the room."""
        self.remove_class("touring")
        for screen in self.screen_stack:
            screen.query(CaptionBar).remove()
