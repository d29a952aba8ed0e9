"""Everything that a key does, once: bindings, hints, help and command palette are made from these lists."""

from __future__ import annotations

from tui.actions.action import Action
from tui.actions.jobs import JOBS
from tui.actions.lists import LISTS
from tui.actions.mapping import MAPPING
from tui.actions.moving import MOVING
from tui.actions.viewing import VIEWING

__all__ = ["ACTIONS", "find"]

ACTIONS: tuple[Action, ...] = (*MOVING, *LISTS, *MAPPING, *JOBS, *VIEWING)
"""Of the main screen."""

_BY_CALL = {(action.method, action.argument): action for action in ACTIONS}


def find(method: str, arguments: tuple[object, ...]) -> Action | None:
    """The action of the main screen that a binding names."""
    argument = arguments[0] if arguments else None
    return _BY_CALL.get((method, argument)) if argument is None or isinstance(argument, str | int) else None
