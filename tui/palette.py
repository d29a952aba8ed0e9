"""The command palette: every action by its name, and every process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.types import IgnoreReturnCallbackType

from tui.action import keys_text
from tui.actions import ACTIONS
from tui.screens.main import MainScreen
from tui.themed import ThemedApp
from tui.themes import THEMES

__all__ = ["Commands"]

_SPEEDS = (0.01, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0, None)


class Commands(Provider):
    """What applies just now. Names of processes are shown as plain text: they are hostile."""

    def _found(self) -> Iterator[tuple[str, str, IgnoreReturnCallbackType]]:
        screen = self.screen
        if not isinstance(screen, MainScreen):
            return
        situation = screen.situation()
        for action in ACTIONS:
            if action.group in ("move", "view") and action.id not in ("help", "quit"):
                continue
            if action.applies(situation):
                said = action.say(situation) if action.say is not None else action.label
                yield (f"{action.help}", f"{keys_text(action)}  {said}", partial(screen.run_action, action.call))
        for identity in screen.processes.keys:
            seen = screen.processes.seen(identity)
            if seen is not None:
                name = screen.look.shown(seen.process.name)
                yield f"go to {name} {identity[0]}", "process", partial(screen.processes.go_to, identity)
        if screen.bridge.paced:
            for speed in _SPEEDS:
                said = "max" if speed is None else f"{speed:g}x"
                yield f"speed {said}", "pace of the machine's time", partial(screen.bridge.set_speed, speed)

        if isinstance(self.app, ThemedApp):
            for name in self.app.themes:
                yield f"theme {name}", THEMES[name], partial(self.app.use_theme, name)

    async def discover(self) -> Hits:
        for text, help_text, run in self._found():
            yield DiscoveryHit(Content(text), run, text=text, help=help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for text, help_text, run in self._found():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, Content(text), run, text=text, help=help_text)
