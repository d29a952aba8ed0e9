"""Single lines: title, tabs, the act as a command, and hints."""

from __future__ import annotations

from rich.style import Style
from textual import events
from textual.message import Message

from numamig.backends.base import Capabilities
from tui.actions.action import Situation
from tui.actions.hints import hints
from tui.style.look import Look, Spans, width_of
from tui.widgets.pane import Lines
from tui.words.present import clock_text, pace_text

__all__ = ["ActLine", "Hints", "Tabs", "TitleBar", "TooSmall", "machine_spans"]


def machine_spans(look: Look, capabilities: Capabilities) -> Spans:
    """Whether this is a real machine: said on every screen that could be taken for the other."""
    slashes = look.glyphs.slashes
    if capabilities.simulated:
        return [(f"{slashes} SIMULATED {slashes}", look.bold + look.reverse)]
    return [("LIVE", look.bold)]


class TitleBar(Lines):
    """What machine this is, and what time it is there."""

    def __init__(self, look: Look, capabilities: Capabilities) -> None:
        super().__init__(look, name="title")
        self.speed: float | None = 1.0
        self.capabilities = capabilities
        self.now_ns = 0
        self.wrong = ""
        """What could not be looked at, why, and what would help."""
        self.states: tuple[str, ...] = ()
        """What else is to be known at a glance: FROZEN, READ-ONLY."""

    def show(
        self, now_ns: int, speed: float | None, wrong: str, states: tuple[str, ...] = (), *, at_rest: bool
    ) -> None:
        """:param at_rest: the time need not be seen to pass: it is drawn once a second"""
        step_ns = 1_000_000_000 if at_rest else 100_000_000
        before = (self.now_ns // step_ns, self.speed, self.wrong, self.states)
        if before != (now_ns // step_ns, speed, wrong, states):
            self.now_ns, self.speed, self.wrong, self.states = now_ns, speed, wrong, states
            self.refresh()

    def line(self, y: int, width: int) -> Spans:
        look, has = self.look, self.capabilities
        dot = f" {look.glyphs.dot} "
        spans: Spans = [(" numamig  ", look.bold), *machine_spans(look, has), (" ", look.plain)]
        for state in self.states:
            spans += [(f" {state} ", look.bold + look.reverse), (" ", look.plain)]
        if self.wrong:
            return [*spans, (look.fit(look.shown(self.wrong), width - width_of(spans)), look.bold)]
        spans.append((dot.join((look.shown(has.machine), look.shown(has.kernel))), look.plain))
        right = [f"you: {look.shown(has.user)} "] if width >= 100 else []
        if has.virtual_time:
            right.insert(0, clock_text(self.now_ns) + pace_text(self.speed, look.glyphs.times))
        return self.both_ends(spans, [(dot.join(right), look.label)], width, keep_right=False)


class Tabs(Lines):
    """The panes of a small terminal."""

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, look: Look, names: dict[str, str]) -> None:
        super().__init__(look, name="tabs")
        self.names = names
        self.active = next(iter(names))
        self.counts: dict[str, int] = {}

    def show(self, active: str, counts: dict[str, int]) -> None:
        if (active, counts) != (self.active, self.counts):
            self.active, self.counts = active, counts
            self.refresh()

    def line(self, y: int, width: int) -> Spans:
        look = self.look
        spans: Spans = []
        for key, name in self.names.items():
            count = f" {self.counts[key]}" if self.counts.get(key) else ""
            here = key == self.active
            spans += [
                (look.glyphs.focus if here else " ", look.bold),
                (f"{name}{count}  ", look.bold if here else look.label),
            ]
        return spans

    def on_click(self, event: events.Click) -> None:
        at = 0
        for key, name in self.names.items():
            at += len(name) + 3 + (len(f" {self.counts[key]}") if self.counts.get(key) else 0)
            if event.x < at:
                self.post_message(self.Chosen(key))
                break


class ActLine(Lines):
    """The latest act as a command, and what came of it."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="act")
        self.command = ""
        self.note = ""

    def show(self, command: str, note: str) -> None:
        if (command, note) != (self.command, self.note):
            self.command, self.note = command, note
            self.refresh()

    def line(self, y: int, width: int) -> Spans:
        look = self.look
        note = look.fit(self.note, min(len(self.note), width // 2)) if self.note else ""
        command = self.command
        room = width - len(note) - 6
        if len(command) > room:
            command = look.fit(command, room)
        return self.both_ends([(" $ ", look.bold), (command, look.plain)], [(f"{note} ", look.label)], width)


class Hints(Lines):
    """Keys that do something just now; each can be clicked."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="hints")
        self.situation = Situation()
        self._silent = False

    def say_nothing(self, silent: bool) -> None:
        """While a dialog has the keys."""
        self._silent = silent
        self.refresh()

    def show(self, situation: Situation) -> None:
        if situation != self.situation:
            self.situation = situation
            self.refresh()

    def line(self, y: int, width: int) -> Spans:
        spans: Spans = []
        if self._silent:
            return spans
        for keys, label, call in hints(self.situation, width - 1):
            press = Style(meta={"@click": f"screen.{call}"}) if call else self.look.plain
            spans += [("  " if spans else " ", self.look.plain), (keys, self.look.bold + press)]
            spans.append((f" {label}", self.look.label + press))
        return spans


class TooSmall(Lines):
    """Said in place of everything where nothing would fit."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="too-small")
        self.words = ""

    def show(self, words: str) -> None:
        self.words = words
        self.refresh()

    def line(self, y: int, width: int) -> Spans:
        parts = [part.strip() for part in self.words.split(self.look.glyphs.dot)]
        lines: list[str] = []
        for part in parts:
            joined = f"{lines[-1]} {self.look.glyphs.dot} {part}" if lines else part
            if lines and len(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(part)
        return [(lines[y], self.look.plain)] if y < len(lines) else []
