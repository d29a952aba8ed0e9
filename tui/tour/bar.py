"""The caption bar: where the tour is, which key it presses, and what there is to be seen, in two lines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tui.style.look import Look, Spans
from tui.widgets.pane import Lines

__all__ = ["CAPTION_LINES", "CaptionBar", "Shown", "State", "keys_shown"]

CAPTION_LINES = 2
_NAMES = {"escape": "esc", "ctrl+u": "^u", "ctrl+k": "^k", "full_stop": ".", "slash": "/"}


class State(Enum):
    """Who has the keys."""

    TOURING = "touring"
    HELD = "held"
    """The operator speaks."""
    WAITING = "waiting"
    """For the operator, before the next chapter."""
    TAKEN = "taken"
    """The operator has the keys."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the bar says."""

    number: int = 1
    of: int = 1
    title: str = ""
    caption: str = ""
    keys: str = ""
    """That are being pressed."""
    says: str = ""
    """What they do."""
    note: str = ""
    """What did not come as it should."""
    state: State = State.TOURING


_OPERATOR = {
    State.TOURING: (("space", "on"), ("p", "hold"), ("esc", "leave")),
    State.HELD: (("p", "goes on"), ("esc", "leave")),
    State.WAITING: (("space", "goes on"), ("esc", "leave")),
    State.TAKEN: (("F5", "goes on"),),
    State.OVER: (("?", "help"), ("q", "quit")),
}


def keys_shown(keys: tuple[str, ...]) -> str:
    """``/anon enter``: letters together, names apart."""
    words: list[str] = []
    letters = False
    for key in keys:
        one = len(key) == 1
        if one and letters:
            words[-1] += key
        else:
            words.append(_NAMES.get(key, key))
        letters = one
    return " ".join(words)


class CaptionBar(Lines):
    """One on every screen: what it speaks of is above it."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="captions")
        self.shown = Shown()

    def show(self, shown: Shown) -> None:
        if shown != self.shown:
            self.shown = shown
            self.refresh()

    def line(self, y: int, width: int) -> Spans:
        return self._head(width) if y == 0 else self._caption(width)

    def _head(self, width: int) -> Spans:
        look, shown = self.look, self.shown
        words = shown.title
        if shown.state is State.TAKEN:
            words = "you have the keys"
        elif shown.state is State.OVER:
            words = "your turn"
        place = "" if shown.state is State.OVER else f"{shown.number}/{shown.of} "
        left: Spans = [(look.glyphs.focus, look.bold), (f"{place}{words}", look.bold)]
        if shown.note:
            return self.both_ends(left, [(f"{shown.note} ", look.bold)], width)
        if shown.keys and shown.state is State.TOURING:
            caps = look.fit(shown.keys, min(len(shown.keys), width // 2))
            return self.both_ends(
                left, [(f" {caps} ", look.bold + look.reverse), (f" {shown.says} ", look.bold)], width
            )
        right: Spans = []
        for key, does in _OPERATOR[shown.state]:
            right += [(key, look.bold), (f" {does}  ", look.label)]
        return self.both_ends(left, right, width)

    def _caption(self, width: int) -> Spans:
        look, shown = self.look, self.shown
        words = shown.caption
        if shown.state is State.TAKEN:
            words = "Every key is the console's. F5 or ctrl+t goes on with the tour."
        return [(look.glyphs.focus, look.bold), (look.fit(words, width - 2), look.plain)]
