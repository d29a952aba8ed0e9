"""The console as a Textual app: it wires the bridge, the screens and the theme, and does nothing else.

What draws a first picture is imported here, and nothing of the engine: that takes longer than Textual itself, and is
imported behind that picture, while the machine is opened.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import events, on
from textual.actions import ActionParseResult, parse
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from numamig.errors import NumamigError
from tui.driver import KeyDriver
from tui.screens.opening import OpeningScreen
from tui.style.look import Look
from tui.style.terminal import demand_terminal, detect
from tui.style.themed import ThemedApp
from tui.style.themes import choose

if TYPE_CHECKING:
    from textual.command import Provider

    from numamig.backends.base import Backend
    from tui.threads.bridge import Bridge
    from tui.threads.rehearsing import TwinOf

__all__ = ["NumamigApp", "Opened", "Opens", "run_console"]

_SWITCH_S = 0.0005
"""How long others may keep the interpreter from a thread that wants it."""

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


class Opened(NamedTuple):
    """A machine."""

    backend: Backend
    notice: str = ""
    """A line to show at the start."""


Opens = Callable[[], Opened]


def _commands() -> type[Provider]:
    from tui.palette import Commands

    return Commands


class NumamigApp(ThemedApp):
    """The console for one machine.

    :param machine: one, or what opens one: then that is done behind a first picture
    :param words: what is being opened
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
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = True

    class Came(Message):
        """The machine is open, or cannot be opened."""

        def __init__(self, came: Opened | Exception) -> None:
            super().__init__()
            self.came = came

    def __init__(
        self,
        machine: Backend | Opens,
        *,
        words: str = "a machine",
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
        self.screenshots = screenshots
        self.failure: Exception | None = None
        """Why the machine could not be opened."""
        self._speed, self._twin_of, self._read_only = speed, twin_of, read_only
        self._words, self._notice = words, notice
        self.bridge: Bridge
        self._opens = machine if callable(machine) else None
        self.use_command_palette = self._opens is None  # what it lists is there with the machine
        if not callable(machine):
            self._connect(machine)
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
        if self._opens is None:
            self._enter()
        else:
            self.push_screen(OpeningScreen(self.look, self._words))
            # It takes the interpreter from whoever paints: the picture first.
            opening = threading.Thread(target=self._open, args=(self._opens,), name="numamig-opens", daemon=True)
            self.screen.call_after_refresh(opening.start)

    def _open(self, opens: Opens) -> None:
        """By a thread of its own, so that the keys work; whoever does not wait for it leaves."""
        try:
            import tui.screens.main  # noqa: F401 - imported here, it is there at once when it is entered

            self.post_message(self.Came(opens()))
        except Exception as error:  # noqa: BLE001 - run_console raises it
            self.post_message(self.Came(error))

    @on(Came)
    def _entered(self, event: Came) -> None:
        came = event.came
        if isinstance(came, Exception):
            self.failure = came
            self.exit()
            return
        self._notice = self._notice or came.notice
        try:
            self._connect(came.backend)
        except NumamigError as error:  # the journal, say: as when the machine cannot be opened
            self.failure = error
            self.exit()
            return
        self.use_command_palette = True
        self.pop_screen()
        self._enter()

    def _connect(self, backend: Backend) -> None:
        from tui.threads.bridge import Bridge

        self.bridge = Bridge(backend, speed=self._speed, twin_of=self._twin_of)
        self.bridge.orders.read_only = self.bridge.read_only_asked = self._read_only

    def _enter(self) -> None:
        from tui.screens.main import MainScreen

        if self._opens is not None:
            _settle_garbage()
        self.bridge.start()
        self.push_screen(MainScreen(self.look, self.bridge, self._notice, self.screenshots))

    def on_unmount(self) -> None:
        if hasattr(self, "bridge"):
            self.bridge.stop()

    async def on_event(self, event: events.Event) -> None:
        """A key goes before everything that is done in the background."""
        if isinstance(event, events.InputEvent) and not event.is_forwarded:
            self._ask_courtesy()
        await super().on_event(event)

    def _ask_courtesy(self) -> None:
        if hasattr(self, "bridge"):
            self.bridge.courtesy.ask(key=True)

    def post_display_hook(self) -> None:
        """Something was painted."""
        if hasattr(self, "bridge"):
            self.bridge.courtesy.painted()

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """However an action was asked for: a console that is read-only says why it does not move anything."""
        from tui.actions import find
        from tui.screens.main import MainScreen

        self._ask_courtesy()  # again: something else may have been painted since the key came
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
        if not hasattr(self, "bridge"):
            self.exit(0)
            return
        from tui.dialogs.confirm import Confirm

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


def _settle_garbage() -> None:
    """What is there by now stays: looking through all of it took 80 ms with 1,000 processes, time and again."""
    gc.freeze()
    gc.set_threshold(5_000, 4, 500)
    gc.enable()


def run_console(
    machine: Backend | Opens,
    *,
    words: str = "a machine",
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

    It also raises what opening the machine raises.
    """
    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    app = NumamigApp(
        machine,
        words=words,
        ascii=ascii,
        speed=speed,
        notice=notice,
        theme=theme,
        read_only=read_only,
        screenshots=screenshots,
        twin_of=twin_of,
    )
    # A thread that waits for the interpreter while others compute gets it after so long, and painting waits many times.
    sys.setswitchinterval(_SWITCH_S)
    left = app.run()
    if app.failure is not None:
        raise app.failure
    return left or 0
