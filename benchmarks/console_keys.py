"""Keys of the console whose effect can be told from everything else that is painted meanwhile.

While a job runs something is painted all the time, so the first bytes behind a key prove nothing. Each key here has a
mark: a value read off the screen that this key changes, and nothing else does. The key has been painted when the mark
is another one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from benchmarks.terminal import Screen
from tui.style.ramps import UNICODE
from tui.widgets.processes import SORTS

__all__ = ["Mark", "Press", "address", "bucket", "dialog", "focus", "order", "process", "spotlight", "typed", "walk"]

Mark = Callable[[Screen], Hashable]
"""None where there is nothing on the screen to tell it by."""
_PANES = ("Processes", "Regions", "Map", "Queue")
_ADDRESS = re.compile(r"\b[0-9a-f]{10,16}\b")
_BUCKET = re.compile(r"cell (\S+)")
_TYPED = re.compile(r" /(\S+)")
_LETTERS = "work"


class Press(NamedTuple):
    """One key."""

    name: str
    keys: str
    mark: Mark | None
    """None: nothing is measured, the key only leads to the next."""


def process(screen: Screen) -> Hashable:
    """The pid in the row that the cursor of the process table is on: its ground is not that of other rows."""
    top, bottom = screen.find(_PANES[0]), screen.find(_PANES[1])
    if top is None or bottom is None:
        return None
    rows = range(top[0] + 2, bottom[0])
    common = screen.ground(top[0], 0)
    for row in rows:
        if screen.ground(row, 3) != common:
            words = screen.line(row)[:9].split()
            return words[-1] if words else None
    return None


def focus(screen: Screen) -> Hashable:
    """The pane whose title has the bar."""
    return next((name for name in _PANES if screen.find(UNICODE.focus + name) is not None), None)


def address(screen: Screen) -> Hashable:
    """Of the bucket under the cursor of the page map: the lowest one that is written in its pane."""
    top = screen.find("Map ")
    if top is None:
        return None
    for row in range(screen.rows - 1, top[0], -1):
        found = _ADDRESS.search(screen.line(row)[top[1] - 1 :])
        if found is not None:
            return found[0]
    return None


def bucket(screen: Screen) -> Hashable:
    """What a cell of the page map stands for, as its title says."""
    top = screen.find("Map ")
    found = _BUCKET.search(screen.line(top[0]), top[1]) if top is not None else None
    return found[1] if found is not None else None


def spotlight(screen: Screen) -> Hashable:
    """How the meter of the first node is drawn: without colour while another node is in the spotlight."""
    at = screen.find(UNICODE.full)
    return screen.style(*at) if at is not None else None


def order(screen: Screen) -> Hashable:
    """What the title of the process table says, numbers aside."""
    return re.sub(r"[\d,]+", "", _title(screen))


def typed(screen: Screen) -> Hashable:
    """The filter in the title of the process table; where none is typed yet, whether there is a line for it."""
    found = _TYPED.search(_title(screen))
    return found[1] if found is not None else "filter:" in "".join(screen.lines()[-3:])


def dialog(screen: Screen) -> Hashable:
    """Whether a dialog is open."""
    return screen.find("╭") is not None


def _title(screen: Screen) -> str:
    top, other = screen.find(_PANES[0]), screen.find("Map ")
    return screen.line(top[0])[top[1] : other[1] if other is not None and other[0] == top[0] else None] if top else ""


def walk(chance: random.Random) -> Iterator[Press]:
    """Keys without end, from the process table and back to it: every one of them changes its mark."""
    walks = (_down_and_up, _down_and_up, _map, _map, _spotlight, _filter, lambda _: _SORTING, lambda _: _PLANNING)
    while True:
        yield from chance.choice(walks)(chance)


_SORTING = [Press("sort", "s", order)] * len(SORTS)
"""Through all orders, to the first again."""
_PLANNING = [Press("plan", "m", dialog), Press("leave", "\x1b", dialog)]


def _down_and_up(chance: random.Random) -> Iterator[Press]:
    yield Press("first", "g", None)
    down = chance.randint(4, 16)
    yield from [Press("down", "j", process)] * down
    yield from [Press("up", "k", process)] * chance.randint(2, down)


def _map(chance: random.Random) -> Iterator[Press]:
    yield from [Press("pane", "\t", focus)] * 2
    yield Press("first", "g", None)
    right, deep = chance.randint(3, 8), chance.randint(1, 2)
    yield from [Press("right", "l", address)] * right
    yield from [Press("left", "h", address)] * chance.randint(1, right - 1)
    yield from [Press("zoom in", "+", bucket)] * deep
    yield from [Press("right", "l", address)] * chance.randint(2, 6)
    yield from [Press("zoom out", "-", bucket)] * deep
    yield from [Press("pane", "\t", focus)] * 2


def _spotlight(_: random.Random) -> Iterator[Press]:
    yield from [Press("spotlight", "3", spotlight)] * 2


def _filter(chance: random.Random) -> Iterator[Press]:
    yield Press("filter", "/", typed)
    yield from [Press("type", letter, typed) for letter in _LETTERS[: chance.randint(1, 4)]]
    yield Press("clear", "\x1b", typed)
