"""What a tour is made of: chapters of beats, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.actions.action import MAP, PROCESSES, QUEUE, REGIONS
from tui.tour.scene import Scene

__all__ = ["Beat", "Chapter", "Condition", "nothing"]

_LEAD_S = 0.8
"""A key is shown for so long before it is pressed."""
_TYPED_S = 0.12
"""Between two keys of a word."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that can be seen in the snapshots."""

    words: str
    """What is waited for: "the job has ended"."""
    holds: Callable[[Scene], bool]
    usual_s: float = 0.5
    """After how long it usually holds, at the usual pace."""


nothing = Condition("nothing", lambda _: True, usual_s=0.0)


@dataclass(frozen=True, slots=True)
class Beat:
    """A caption, keys that are pressed under it, what is waited for then, and how long it is left to be read."""

    caption: str
    """With names of ``Scene``'s facts in braces; said again when what is waited for is there."""
    keys: tuple[str, ...] = ()
    """As in bindings, or the character itself."""
    says: str = ""
    """What the keys do."""
    until: Condition = nothing
    hold_s: float = 0.0
    needless: Condition | None = None
    """Where this holds there is nothing to press or to tell."""
    again: bool = False
    """A dialog may want the key twice: when what it shows has changed just now."""

    @property
    def typing_s(self) -> float:
        """From the caption to the last key."""
        return _LEAD_S + _TYPED_S * (len(self.keys) - 1) if self.keys else 0.0

    @property
    def usual_s(self) -> float:
        return self.typing_s + self.until.usual_s + self.hold_s


@dataclass(frozen=True, slots=True)
class Chapter:
    """One step of the story. Can be begun again until what it is for is done."""

    title: str
    about: str
    """One line, for the list of chapters."""
    pane: str
    """Where it begins."""
    beats: tuple[Beat, ...]
    needs: Condition = nothing
    """Without which it is left out, and that is said."""
    done: Condition | None = None
    """It has been done already, by whoever had the keys."""
    measures: bool = False
    """Speeds are told from where it began."""

    def __post_init__(self) -> None:
        if self.pane not in (PROCESSES, REGIONS, MAP, QUEUE):
            raise ValueError(f"no pane is called {self.pane!r}")

    @property
    def usual_s(self) -> float:
        """How long it takes, at the usual pace."""
        return sum(beat.usual_s for beat in self.beats)
