"""The console as a Textual app: it wires the bridge, the screens and the theme, and does nothing else."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from textual.actions import ActionParseResult, parse
from textual.command import Provider
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

from numamig.backends.base import Backend
from tui.actions import find
from tui.dialogs.confirm import Confirm
from tui.driver import KeyDriver
from tui.palette import Commands
from tui.screens.main import MainScreen
from tui.style.look import Look
from tui.style.terminal import demand_terminal, detect
from tui.style.themed import ThemedApp
from tui.style.themes import choose
from tui.threads.bridge import Bridge
from tui.threads.rehearsing import TwinOf

__all__ = ["NumamigApp", "run_console"]

_SWITCH_S = 0.0005
"""How long others may keep the interpreter from a thread that wants it."""

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


class NumamigApp(ThemedApp):
    """The console for one machine.

    :param ascii: draw with ASCII only
    :param speed: how fast virtual time passes; 1 is as it is, None as fast as it can be worked out
    :param notice: a line to show at the start
    :param theme: as ``themes.choose`` takes it
    :param read_only: nothing that moves can be asked for
    :param screenshots: where screenshots and reports go
    :param twin_of: what plans are rehearsed on
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
        theme: str | None = None,
        read_only: bool = False,
        screenshots: Path = Path(),
        twin_of: TwinOf | None = None,
    ) -> None:
        terminal = detect(os.environ, only_ascii=ascii)
        super().__init__(Look(terminal, choose(theme, os.environ, terminal.colours)))
        self.bridge = Bridge(backend, speed=speed, twin_of=twin_of)
        self.bridge.read_only = self.bridge.read_only_asked = read_only
        self.screenshots = screenshots
        self._notice = notice
        if theme is not None and self.look.theme != theme:
            self._notice = f"this terminal has too few colours for the {theme} theme"

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """As Textual's, without the fonts that a browser would fetch for it: it looks the same without a network."""
        return _FONTS.sub("", super().export_screenshot(title=title, simplify=simplify))

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice for another kind of terminal stays."""
        chosen = super().get_driver_class()
        return KeyDriver if chosen is LinuxDriver else chosen

    def on_mount(self) -> None:
        self.bridge.start()
        self.push_screen(MainScreen(self.look, self.bridge, self._notice, self.screenshots))

    def on_unmount(self) -> None:
        self.bridge.stop()

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """However an action was asked for: a console that is read-only says why it does not move anything."""
        screen = self.screen
        where, method, arguments = parse(action) if isinstance(action, str) else action
        if isinstance(screen, MainScreen) and (where == "screen" or default_namespace is screen):
            known = find(method, arguments)
            if known is not None and known.forbidden(screen.situation()) and known.applies(screen.situation()):
                screen.refuse(known.label.rstrip("."))
                return True
        return await super().run_action(action, default_namespace, namespaces)

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
    theme: str | None = None,
    read_only: bool = False,
    screenshots: Path = Path(),
    twin_of: TwinOf | None = None,
) -> int:
    """Run the console until the operator leaves; the exit code.

    :raises UsageError: there is no terminal here that a console could be drawn on.
    """
    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    app = NumamigApp(
        backend,
        ascii=ascii,
        speed=speed,
        notice=notice,
        theme=theme,
        read_only=read_only,
        screenshots=screenshots,
        twin_of=twin_of,
    )
    # What is there by now stays: looking through all of it for garbage took 80 ms with 1,000 processes, time and again.
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    gc.enable()
    # A thread that waits for the interpreter while others compute gets it after so long, and painting waits many times.
    sys.setswitchinterval(_SWITCH_S)
    return app.run() or 0
