"""What keys do in dialogs: of the same make as those of the main screen."""

from __future__ import annotations

from tui.action import MOST_NODES, Action

__all__ = ["EARLIER_ACTIONS", "EDIT_ACTIONS", "LEDGER_ACTIONS", "PLAN_ACTIONS", "UNDO_ACTIONS"]


def _fields(dialog: str) -> tuple[Action, ...]:
    return (
        Action(f"{dialog}-down", "j,down,tab", "field", "field", "the next field", dialog, 1),
        Action(f"{dialog}-up", "k,up,shift+tab", "field", "field", "the field before", dialog, -1),
        Action(f"{dialog}-right", "l,right", "value", "value", "the next value", dialog, 1),
        Action(f"{dialog}-left", "h,left", "value", "value", "the value before", dialog, -1),
        *(
            Action(f"{dialog}-node-{node}", str(node), "node", "to", f"to node {node}", dialog, node)
            for node in range(MOST_NODES)
        ),
    )


def _scrolling(dialog: str) -> tuple[Action, ...]:
    return (
        Action(f"{dialog}-more", "ctrl+d,pagedown", "scroll", "more", "further findings", dialog, 1),
        Action(f"{dialog}-less", "ctrl+u,pageup", "scroll", "less", "findings above", dialog, -1),
    )


PLAN_ACTIONS: tuple[Action, ...] = (
    *_fields("plan"),
    *_scrolling("plan"),
    Action("plan-advanced", "a", "advanced", "more", "critical, reserve, calls and threads; and back", "plan"),
    Action("plan-run", "y", "accept", "run", "run the job; warnings are accepted", "plan", "run"),
    Action("plan-hold", "s", "accept", "queue held", "queue the job, held", "plan", "hold"),
    Action("plan-leave", "escape,q", "leave", "back", "back, nothing is moved", "plan"),
)
"""Of the plan dialog."""

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
    Action("earlier-undo", "u", "undo", "undo", "take it back", "earlier"),
    Action("earlier-leave", "escape,q", "leave", "back", "back", "earlier"),
)
"""Of the dialog with jobs of an earlier run."""

LEDGER_ACTIONS: tuple[Action, ...] = (
    Action("ledger-down", "j,down", "scroll", "scroll", "down", "ledger", 1),
    Action("ledger-up", "k,up", "scroll", "scroll", "up", "ledger", -1),
    Action("ledger-page-down", "ctrl+d,pagedown", "scroll", "scroll", "page down", "ledger", 10),
    Action("ledger-page-up", "ctrl+u,pageup", "scroll", "scroll", "page up", "ledger", -10),
    Action("ledger-leave", "escape,q,L", "leave", "back", "back", "ledger"),
)
"""Of the dialog with the ledger of a job."""
