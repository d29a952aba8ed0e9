"""The line of hints: keys that do something just now, by what they are called just now."""

from __future__ import annotations

from tui.actions import ACTIONS
from tui.actions.action import MOST_NODES, Situation, keys_text

__all__ = ["Hint", "hints"]

Hint = tuple[str, str, str]
"""Keys, label, and the action to run when it is clicked; "" where there are several."""
_SPOT_RANK = 40


def hints(situation: Situation, width: int) -> list[Hint]:
    """What applies, in the order of rank, as many as fit whole; help is always there, and last."""
    found: list[tuple[int, Hint]] = []
    for action in ACTIONS:
        if action.rank and action.possible(situation):
            label = action.say(situation) if action.say is not None else action.label
            found.append((action.rank, (action.shown or keys_text(action, first=True), label, action.call)))
    spots = [node for node in situation.nodes if node < MOST_NODES]
    if len(spots) > 1:
        found.append((_SPOT_RANK, (f"{spots[0]}-{spots[-1]}", "spot", "")))
    found.sort(key=lambda entry: entry[0])
    last, *rest = _each_job_once([hint for _, hint in found])
    kept: list[Hint] = []
    left = width - _width(last)
    for hint in rest:
        left -= _width(hint) + 2
        if left < 0:
            break
        kept.append(hint)
    return [*kept, last]


def _each_job_once(found: list[Hint]) -> list[Hint]:
    """The number of a job with the first key that acts on it: ``. step 7  p run  u undo...``."""
    named: set[str] = set()
    shorter: list[Hint] = []
    for keys, label, call in found:
        word, _, number = label.rstrip(".").rpartition(" ")
        if word and number.isdigit():
            label = word + label[len(label.rstrip(".")) :] if number in named else label
            named.add(number)
        shorter.append((keys, label, call))
    return shorter


def _width(hint: Hint) -> int:
    return len(hint[0]) + 1 + len(hint[1])
