"""Moving about: the cursor and the panes."""

from __future__ import annotations

from tui.actions.action import MAP, QUEUE, Action, always
from tui.actions.when import in_panes

__all__ = ["MOVING"]


def _move(way: str, keys: str, text: str, *panes: str) -> Action:
    applies = in_panes(*panes) if panes else always
    return Action(f"move-{way}", keys, "cursor", way, text, "move", way, applies=applies)


MOVING: tuple[Action, ...] = (
    _move("down", "j,down", "down"),
    _move("up", "k,up", "up"),
    _move("left", "h,left", "left, in the map", MAP),
    _move("right", "l,right", "right, in the map", MAP),
    _move("first", "g,home", "to the first"),
    _move("last", "G,end", "to the last"),
    _move("page_down", "ctrl+d,pagedown", "half a page down"),
    _move("page_up", "ctrl+u,pageup", "half a page up"),
    Action("pane-next", "tab", "pane", "pane", "the next: processes, regions, map, queue", "move", 1, rank=22),
    Action("pane-previous", "shift+tab", "pane", "back", "the pane before", "move", -1),
    Action(
        "go-in",
        "enter",
        "go_in",
        "in",
        "into a process, region, ledger; closer in the map",
        "move",
        applies=lambda s: s.ledger is not None if s.pane == QUEUE else s.process,
        rank=24,
    ),
    Action(
        "go-out",
        "escape",
        "go_out",
        "out",
        "out again, also of range, zoom, filter; never quits",
        "move",
        applies=lambda s: s.out,
        rank=33,
    ),
)
