"""The command palette: every action by its name, every process, every node, any address, and what has no key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.types import IgnoreReturnCallbackType

from tui.actions import ACTIONS
from tui.actions.action import MOST_NODES, keys_text
from tui.screens.main import MainScreen
from tui.style.themed import ThemedApp
from tui.style.themes import THEMES

__all__ = ["Commands"]

_SPEEDS = (0.01, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0, None)
_ADDRESS = re.compile(r"0x[0-9a-f]{1,16}", re.IGNORECASE)

_Found = tuple[str, str, IgnoreReturnCallbackType]
"""Name, what is said below it, and what it does."""


class Commands(Provider):
    """What is possible just now. Names of processes are shown as plain text: they are hostile."""

    def _found(self) -> Iterator[_Found]:
        screen = self.screen
        if isinstance(screen, MainScreen):
            yield from self._actions(screen)
            yield from self._without_key(screen)
            yield from self._places(screen)

    def _actions(self, screen: MainScreen) -> Iterator[_Found]:
        situation = screen.situation()
        for action in ACTIONS:
            if action.possible(situation) and action.id != "palette":
                said = action.say(situation) if action.say is not None else action.label
                yield action.help, f"{keys_text(action)}  {said}", partial(screen.run_action, action.call)

    def _without_key(self, screen: MainScreen) -> Iterator[_Found]:
        yield "screenshot", "an SVG of the screen", screen.action_screenshot
        yield "report", "what is on the screen, as plain text", screen.action_report
        on = screen.bridge.orders.read_only
        yield f"read-only {'off' if on else 'on'}", "whether memory can be moved from here", screen.action_read_only
        moves = screen.look.motion
        yield f"motion {'off' if moves else 'on'}", "whether cells flash as pages move", screen.action_motion
        if isinstance(self.app, ThemedApp):
            for name in self.app.themes:
                yield f"theme {name}", THEMES[name], partial(screen.action_theme, name)
        if screen.bridge.paced:
            for speed in _SPEEDS:
                said = "max" if speed is None else f"{speed:g}x"
                yield f"speed {said}", "pace of the machine's time", partial(screen.bridge.set_speed, speed)

    def _places(self, screen: MainScreen) -> Iterator[_Found]:
        for node in screen.situation().nodes:
            if node >= MOST_NODES:  # the others have a digit
                yield f"show only node {node} in colour", "spotlight", partial(screen.action_spotlight, node)
        for identity in screen.processes.keys:
            seen = screen.processes.seen(identity)
            if seen is not None:
                name = screen.look.shown(seen.process.name)
                yield f"go to {name} {identity[0]}", "process", partial(screen.processes.go_to, identity)

    async def discover(self) -> Hits:
        for text, help_text, run in self._found():
            yield DiscoveryHit(Content(text), run, text=text, help=help_text)

    async def search(self, query: str) -> Hits:
        screen, typed = self.screen, query.strip()
        if isinstance(screen, MainScreen) and _ADDRESS.fullmatch(typed):
            text = f"go to address {typed.lower()}"
            jump = partial(screen.action_address, int(typed, 16))
            yield Hit(1.0, Content(text), jump, text=text, help="in the map of the process that is selected")
        matcher = self.matcher(query)
        for text, help_text, run in self._found():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, Content(text), run, text=text, help=help_text)
