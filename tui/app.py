"""The console as a Textual app: it wires the bridge, the screens and the theme, and does nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import ClassVar

from textual.app import App
from textual.command import Provider
from textual.theme import Theme

from numamig.backends.base import Backend
from tui.bridge import Bridge
from tui.look import Look
from tui.palette import Commands
from tui.ramps import BACKGROUND, FOREGROUND, GREY
from tui.screens.confirm import Confirm
from tui.screens.main import MainScreen
from tui.terminal import Colours, demand_terminal, detect

__all__ = ["NumamigApp", "run_console"]

_THEME = Theme(
    name="numamig",
    primary=FOREGROUND,
    secondary=GREY,
    foreground=FOREGROUND,
    background=BACKGROUND,
    surface=BACKGROUND,
    panel="#171b28",
    boost="#171b28",
    warning=FOREGROUND,
    error=FOREGROUND,
    success=FOREGROUND,
    accent=FOREGROUND,
    dark=True,
)


class NumamigApp(App[int]):
    """The console for one machine.

    :param ascii: draw with ASCII only
    :param speed: how fast virtual time passes; 1 is as it is, None as fast as it can be worked out
    :param notice: a line to show at the start
    """

    CSS_PATH = "app.tcss"
    TITLE = "numamig"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Commands}
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = True

    def __init__(
        self,
        backend: Backend,
        *,
        ascii: bool = False,  # noqa: A002 - called like the option
        speed: float | None = 1.0,
        notice: str = "",
    ) -> None:
        terminal = detect(os.environ, only_ascii=ascii)
        few = terminal.colours is not Colours.MANY
        # With few colours or none the terminal's own are used: Textual's themes would come out as greys.
        super().__init__(ansi_color=few)
        self.look = Look(terminal)
        self.bridge = Bridge(backend, speed=speed)
        self._notice = notice
        self.register_theme(_THEME)
        self.theme = "ansi-dark" if few else _THEME.name

    def on_mount(self) -> None:
        self.bridge.start()
        self.push_screen(MainScreen(self.look, self.bridge, self._notice))

    def on_unmount(self) -> None:
        self.bridge.stop()

    async def action_quit(self) -> None:
        """Ask while there are jobs; what they moved stays moved."""
        if isinstance(self.screen, Confirm):
            return
        jobs = self.bridge.unended
        if not jobs:
            self.exit(0)
            return
        lasting = self.bridge.backend.capabilities.lasting
        after = "numamig resume goes on with them" if lasting else "what has moved stays moved"
        sentence = f"{jobs} job{'s have' if jobs > 1 else ' has'} not ended: they stop here, {after}."
        self.push_screen(Confirm(self.look, "quit", sentence, "quit"), self._leave)

    def _leave(self, yes: bool | None) -> None:
        if yes:
            self.exit(0)


def run_console(
    backend: Backend,
    *,
    ascii: bool = False,  # noqa: A002 - called like the option
    speed: float | None = 1.0,
    notice: str = "",
) -> int:
    """Run the console until the operator leaves; the exit code.

    :raises UsageError: there is no terminal here that a console could be drawn on.
    """
    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    return NumamigApp(backend, ascii=ascii, speed=speed, notice=notice).run() or 0
