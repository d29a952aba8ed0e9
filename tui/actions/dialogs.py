"""What keys do in dialogs: of the same make as those of the main screen."""

from __future__ import annotations

from tui.actions.action import MOST_NODES, Action

__all__ = [
    "DIALOGS",
    "DRAIN_ACTIONS",
    "EARLIER_ACTIONS",
    "EDIT_ACTIONS",
    "HOME_ACTIONS",
    "LEDGER_ACTIONS",
    "PLAN_ACTIONS",
    "UNDO_ACTIONS",
]


_ENTER = {
    "plan": "type a value; on a finding: do what helps, where the dialog can",
    "edit": "type a value",
}


def _fields(dialog: str) -> tuple[Action, ...]:
    return (
        Action(f"{dialog}-down", "j,down,tab", "field", "field", "the next field", dialog, 1),
        Action(f"{dialog}-up", "k,up,shift+tab", "field", "field", "the field before", dialog, -1),
        Action(f"{dialog}-right", "l,right", "value", "value", "the next value", dialog, 1),
        Action(f"{dialog}-left", "h,left", "value", "value", "the value before", dialog, -1),
        Action(f"{dialog}-type", "enter", "enter", "type", _ENTER[dialog], dialog, types_ahead=True),
        *_digits(dialog, "to"),
    )


def _digits(dialog: str, what: str) -> tuple[Action, ...]:
    return tuple(
        Action(f"{dialog}-node-{node}", str(node), "node", what, f"{what} node {node}", dialog, node)
        for node in range(MOST_NODES)
    )


def _scrolling(dialog: str) -> tuple[Action, ...]:
    return (
        Action(f"{dialog}-more", "ctrl+d,pagedown", "scroll", "more", "further findings", dialog, 1),
        Action(f"{dialog}-less", "ctrl+u,pageup", "scroll", "less", "findings above", dialog, -1),
    )


PLAN_ACTIONS: tuple[Action, ...] = (
    *_fields("plan"),
    *_scrolling("plan"),
    Action("plan-advanced", "a", "advanced", "more", "critical, reserve, calls, order, limit, heat; and back", "plan"),
    Action("plan-findings", "f", "findings", "findings", "to the findings; and back to the fields", "plan"),
    Action("plan-rehearse", "r", "rehearse", "rehearse", "on a simulated twin: outcomes, time and stalls", "plan"),
    Action("plan-save", "w", "save", "save", "save the plan as a profile", "plan", types_ahead=True),
    Action("plan-run", "y", "accept", "run", "run the job; warnings are accepted", "plan", "run"),
    Action("plan-hold", "s", "accept", "queue held", "queue the job, held", "plan", "hold"),
    Action("plan-leave", "escape,q", "leave", "back", "back, nothing is moved", "plan"),
)
"""Of the plan dialog."""

DRAIN_ACTIONS: tuple[Action, ...] = (
    Action("drain-down", "j,down", "scroll", "scroll", "down", "drain", 1),
    Action("drain-up", "k,up", "scroll", "scroll", "up", "drain", -1),
    Action("drain-page-down", "ctrl+d,pagedown", "scroll", "scroll", "page down", "drain", 10),
    Action("drain-page-up", "ctrl+u,pageup", "scroll", "scroll", "page up", "drain", -10),
    *_digits("drain", "empty"),
    Action("drain-shared", "a", "shared", "shared", "pages that several processes map too; and back", "drain"),
    Action("drain-accept", "y", "accept", "drain", "queue the jobs, and run them; warnings are accepted", "drain"),
    Action("drain-leave", "escape,q", "leave", "back", "back, nothing is moved", "drain"),
)
"""Of the dialog that empties a node."""

UNDO_ACTIONS: tuple[Action, ...] = (
    *_scrolling("undo"),
    Action("undo-run", "y", "accept", "run", "put the pages back; warnings are accepted", "undo", "run"),
    Action("undo-hold", "s", "accept", "queue held", "queue the undo, held", "undo", "hold"),
    Action("undo-leave", "escape,q", "leave", "back", "back, nothing is moved", "undo"),
)
"""Of the dialog that takes a job back."""

EDIT_ACTIONS: tuple[Action, ...] = (
    *_fields("edit"),
    *_scrolling("edit"),
    Action("edit-accept", "y", "accept", "change", "change the job; warnings are accepted", "edit", "run"),
    Action("edit-leave", "escape,q", "leave", "back", "back, the job stays as it is", "edit"),
)
"""Of the dialog that changes a job."""

EARLIER_ACTIONS: tuple[Action, ...] = (
    Action("earlier-down", "j,down", "field", "job", "the next job", "earlier", 1),
    Action("earlier-up", "k,up", "field", "job", "the job before", "earlier", -1),
    Action("earlier-go-on", "r", "go_on", "go on", "go on with it", "earlier"),
    Action("earlier-undo", "u", "undo", "undo", "take it back", "earlier"),
    Action("earlier-leave", "escape,q", "leave", "back", "back", "earlier"),
)
"""Of the dialog with jobs of an earlier run."""

LEDGER_ACTIONS: tuple[Action, ...] = (
    Action("ledger-down", "j,down", "part", "row", "the next row, then further down", "ledger", 1),
    Action("ledger-up", "k,up", "part", "row", "the row before", "ledger", -1),
    Action("ledger-map", "enter", "map", "on the map", "go to these pages on the map", "ledger"),
    Action("ledger-again", "m", "again", "again", "plan again what stayed, with what would help", "ledger"),
    Action("ledger-page-down", "ctrl+d,pagedown", "scroll", "scroll", "page down", "ledger", 10),
    Action("ledger-page-up", "ctrl+u,pageup", "scroll", "scroll", "page up", "ledger", -10),
    Action("ledger-leave", "escape,q,L", "leave", "back", "back", "ledger"),
)
"""Of the dialog with the ledger of a job."""

HOME_ACTIONS: tuple[Action, ...] = (
    Action("home-down", "j,down", "field", "node", "the next node", "home", 1),
    Action("home-up", "k,up", "field", "node", "the node before", "home", -1),
    *(
        Action(f"home-node-{node}", str(node), "node", "to", f"at home on node {node}", "home", node)
        for node in range(MOST_NODES)
    ),
    Action("home-accept", "enter", "accept", "home", "at home on the node under the cursor", "home"),
    Action("home-threads", "t", "threads", "threads", "at home where its threads run", "home"),
    Action("home-leave", "escape,q", "leave", "back", "back", "home"),
)
"""Of the dialog that asks where a process is at home."""

DIALOGS: dict[str, tuple[Action, ...]] = {
    "plan": PLAN_ACTIONS,
    "undo": UNDO_ACTIONS,
    "edit": EDIT_ACTIONS,
    "drain": DRAIN_ACTIONS,
    "earlier jobs": EARLIER_ACTIONS,
    "ledger": LEDGER_ACTIONS,
    "home": HOME_ACTIONS,
}
"""By what they are about."""
