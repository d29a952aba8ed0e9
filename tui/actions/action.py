"""What an action is, and what decides whether its key does something just now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.binding import Binding

from numamig.migrate.snapshot import JobSnapshot

__all__ = [
    "MAP",
    "MOST_NODES",
    "PROCESSES",
    "QUEUE",
    "REGIONS",
    "Action",
    "Situation",
    "always",
    "bindings",
    "keys_text",
    "never",
]

PROCESSES, REGIONS, MAP, QUEUE = "processes", "regions", "map", "queue"
MOST_NODES = 10


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a key does something, and what it is called just now."""

    pane: str = PROCESSES
    process: bool = False
    """One is selected."""
    mark: bool = False
    """There is something under the cursor that can be marked."""
    job: JobSnapshot | None = None
    """The job that job keys act on."""
    undo: JobSnapshot | None = None
    """The job that would be taken back."""
    ledger: JobSnapshot | None = None
    """The job whose ledger would be shown, ended or not."""
    jobs: int = 0
    """How many are in the queue."""
    nodes: tuple[int, ...] = ()
    out: bool = False
    """``esc`` leads somewhere."""
    fits: bool = True
    """The page map is at the zoom at which all of it fits."""
    ranging: bool = False
    """A range is open on the page map."""
    only: bool = False
    """A class of pages stands out on the page map."""
    front: bool = False
    """A job is at work on the process that is selected."""
    read_only: bool = False
    """Nothing that moves can be asked for."""
    frozen: bool = False
    """The picture is held."""
    big: bool = False
    """One pane fills the screen."""


def always(_: Situation) -> bool:
    return True


def never(_: Situation) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done."""

    id: str
    keys: str
    """As in ``Binding``: the default first."""
    method: str
    """``action_…`` of the screen."""
    label: str
    """For the hints."""
    help: str
    group: str
    argument: str | int | None = None
    applies: Callable[[Situation], bool] = always
    say: Callable[[Situation], str] | None = None
    """The label, where it depends."""
    rank: int = 0
    """Order in the hints; 0 leaves it out."""
    shown: str = ""
    """How the keys are written, where that is not plain."""
    types_ahead: bool = False
    """What is typed right behind its key belongs to the field that it opens."""
    moves: Callable[[Situation], bool] = never
    """It changes where memory is, or how that goes on: not in a console that is read-only."""

    def possible(self, situation: Situation) -> bool:
        """It does something just now, and may."""
        return self.applies(situation) and not self.forbidden(situation)

    def forbidden(self, situation: Situation) -> bool:
        return situation.read_only and self.moves(situation)

    @property
    def call(self) -> str:
        return self.method if self.argument is None else f"{self.method}({self.argument!r})"


_SYMBOLS = {
    "full_stop": ".",
    "slash": "/",
    "question_mark": "?",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "greater_than_sign": ">",
    "less_than_sign": "<",
    "number_sign": "#",
    "escape": "esc",
}


def bindings(actions: tuple[Action, ...]) -> list[Binding]:
    """For a screen. What is typed into a field stays there: no printable key has priority while one is open.

    A key without priority travels through the focused widget first, and keys typed right behind it go the same way
    before it acts; so the key that opens a field has priority until it is open.
    """
    return [Binding(a.keys, a.call, a.label, show=False, id=a.id, priority=a.types_ahead) for a in actions]


def keys_text(action: Action, *, first: bool = False) -> str:
    """The keys as people call them: ``j down``."""
    keys = action.keys.split(",")
    return " ".join(_SYMBOLS.get(key, key.replace("ctrl+", "^")) for key in (keys[:1] if first else keys))
