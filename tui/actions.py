"""Everything that a key does, once: bindings, hints, help and command palette are made from these lists."""

from __future__ import annotations

from collections.abc import Callable

from numamig.migrate.snapshot import JobState
from tui.action import MAP, MOST_NODES, PROCESSES, QUEUE, REGIONS, Action, Situation

__all__ = ["ACTIONS", "find"]


def _always(_: Situation) -> bool:
    return True


def _in(*panes: str) -> Callable[[Situation], bool]:
    return lambda s: s.pane in panes


def _has_job(s: Situation) -> bool:
    return s.job is not None and not s.job.state.ended


def _has_order(s: Situation) -> bool:
    return _has_job(s) and s.jobs > 1


def _job(word: str) -> Callable[[Situation], str]:
    return lambda s: f"{word} {s.job.number}" if s.job is not None else word


def _run_or_pause(s: Situation) -> str:
    running = s.job is not None and s.job.state is JobState.RUNNING
    return _job("pause" if running else "run")(s)


def _move(way: str, keys: str, text: str, *panes: str) -> Action:
    return Action(f"move-{way}", keys, "cursor", way, text, "move", way, applies=_in(*panes) if panes else _always)


def _spot(node: int) -> Action:
    return Action(
        f"spotlight-{node}",
        str(node),
        "spotlight",
        "spot",
        f"show only node {node} in colour, and again",
        "node",
        node,
        applies=lambda s: node in s.nodes,
    )


ACTIONS: tuple[Action, ...] = (
    _move("down", "j,down", "down"),
    _move("up", "k,up", "up"),
    _move("left", "h,left", "left, in the map", MAP),
    _move("right", "l,right", "right, in the map", MAP),
    _move("first", "g,home", "to the first"),
    _move("last", "G,end", "to the last"),
    _move("page_down", "ctrl+d,pagedown", "half a page down"),
    _move("page_up", "ctrl+u,pageup", "half a page up"),
    Action("pane-next", "tab", "pane", "pane", "the next: processes, regions, map, queue", "move", 1, rank=80),
    Action("pane-previous", "shift+tab", "pane", "back", "the pane before", "move", -1),
    Action(
        "go-in",
        "enter",
        "go_in",
        "in",
        "into the regions of a process, the map of a region",
        "move",
        applies=lambda s: s.pane in (PROCESSES, REGIONS) and s.process,
        rank=60,
    ),
    Action(
        "go-out",
        "escape",
        "go_out",
        "out",
        "out again: filter, spotlight, pane; never quits",
        "move",
        applies=lambda s: s.out,
        rank=75,
    ),
    Action(
        "mark",
        "space",
        "mark",
        "mark",
        "mark the process, or the region",
        "lists",
        applies=lambda s: s.mark and s.pane != QUEUE,
        rank=10,
    ),
    Action(
        "mark-all",
        "a",
        "mark_all",
        "all",
        "mark all that are shown, or none",
        "lists",
        applies=lambda s: s.mark and s.pane in (PROCESSES, REGIONS),
        rank=70,
    ),
    Action(
        "filter",
        "slash",
        "filter",
        "filter",
        "show only what matches: name, pid, user, kind, path",
        "lists",
        applies=_in(PROCESSES, REGIONS),
        rank=50,
        types_ahead=True,
    ),
    Action("sort", "s", "sort", "sort", "sort by the next column", "lists", applies=_in(PROCESSES), rank=55),
    Action("sort-reverse", "S", "sort_reverse", "reverse", "sort the other way round", "lists", applies=_in(PROCESSES)),
    Action(
        "zoom-in",
        "plus,equals_sign",
        "zoom",
        "zoom",
        "four times closer",
        "map",
        1,
        applies=_in(MAP),
        rank=50,
        shown="+ -",
    ),
    Action("zoom-out", "minus", "zoom", "zoom out", "four times farther", "map", -1, applies=_in(MAP)),
    Action(
        "fit",
        "f",
        "fit",
        "fit",
        "all of the process in view",
        "map",
        applies=lambda s: s.pane == MAP and not s.fits,
        rank=52,
    ),
    *(_spot(node) for node in range(MOST_NODES)),
    Action(
        "plan",
        "m",
        "plan",
        "move...",
        "plan to move what is marked or under the cursor",
        "job",
        applies=lambda s: s.process,
        rank=12,
    ),
    Action(
        "step",
        "full_stop",
        "step",
        "step",
        "one batch; a job that runs is paused",
        "job",
        applies=_has_job,
        say=_job("step"),
        rank=20,
    ),
    Action(
        "run-pause",
        "p",
        "run_pause",
        "run",
        "run the job, or pause it",
        "job",
        applies=_has_job,
        say=_run_or_pause,
        rank=22,
    ),
    Action(
        "cancel",
        "x",
        "cancel",
        "cancel",
        "end the job; what has moved stays moved",
        "job",
        applies=_has_job,
        say=_job("cancel"),
        rank=24,
    ),
    Action(
        "batch-halve",
        "left_square_bracket",
        "batch",
        "batch",
        "half the pages in a batch",
        "job",
        -1,
        applies=_has_job,
        rank=26,
        shown="[ ]",
    ),
    Action(
        "batch-double",
        "right_square_bracket",
        "batch",
        "batch",
        "twice the pages in a batch",
        "job",
        1,
        applies=_has_job,
    ),
    Action(
        "undo",
        "u",
        "undo",
        "undo",
        "put the pages of the job back where they were",
        "job",
        applies=lambda s: s.undo is not None,
        say=lambda s: f"undo {s.undo.number}..." if s.undo is not None else "undo...",
        rank=25,
    ),
    Action(
        "edit",
        "e",
        "edit",
        "edit...",
        "another target, batch, budget or rate for the job",
        "job",
        applies=_has_job,
        say=lambda s: f"{_job('edit')(s)}...",
        rank=25,
    ),
    Action(
        "budget-less",
        "left_curly_bracket",
        "budget",
        "budget",
        "a smaller latency budget for a call",
        "job",
        -1,
        applies=_has_job,
        rank=27,
        shown="{ }",
    ),
    Action(
        "budget-more",
        "right_curly_bracket",
        "budget",
        "budget",
        "a larger latency budget, at last none",
        "job",
        1,
        applies=_has_job,
    ),
    Action(
        "order-later",
        "J",
        "order",
        "order",
        "the job further down: its turn comes later",
        "job",
        1,
        applies=_has_order,
        rank=28,
        shown="J K",
    ),
    Action(
        "order-sooner",
        "K",
        "order",
        "order",
        "the job further up: its turn comes sooner",
        "job",
        -1,
        applies=_has_order,
    ),
    Action(
        "priority-higher",
        "greater_than_sign",
        "priority",
        "priority",
        "a higher priority: before all that have a lower",
        "job",
        1,
        applies=_has_job,
        rank=29,
        shown="< >",
    ),
    Action(
        "priority-lower",
        "less_than_sign",
        "priority",
        "priority",
        "a lower priority: behind all that have a higher",
        "job",
        -1,
        applies=_has_job,
    ),
    Action(
        "save",
        "w",
        "save",
        "save...",
        "save what was moved as a profile, to replay it",
        "job",
        applies=lambda s: s.jobs > 0,
        rank=35,
        types_ahead=True,
    ),
    Action(
        "ledger",
        "L",
        "ledger",
        "ledger",
        "why pages stayed, what would help, and what happened",
        "job",
        applies=lambda s: s.ledger is not None,
        say=lambda s: f"ledger {s.ledger.number}" if s.ledger is not None else "ledger",
        rank=30,
    ),
    Action(
        "earlier",
        "E",
        "earlier",
        "earlier...",
        "jobs of earlier runs: take them back, or go on",
        "job",
        rank=40,
    ),
    Action("help", "question_mark", "help", "help", "all keys", "view", rank=1),
    Action("palette", "ctrl+p", "command_palette", "commands", "find a command by its name", "view"),
    Action("quit", "q", "quit", "quit", "leave; asks while jobs run", "view", rank=90),
)
"""Of the main screen."""

_BY_CALL = {(action.method, action.argument): action for action in ACTIONS}


def find(method: str, arguments: tuple[object, ...]) -> Action | None:
    """The action of the main screen that a binding names."""
    argument = arguments[0] if arguments else None
    return _BY_CALL.get((method, argument)) if argument is None or isinstance(argument, str | int) else None
