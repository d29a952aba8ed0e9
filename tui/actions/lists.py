"""Marking, filtering and sorting."""

from __future__ import annotations

from tui.actions.action import MAP, PROCESSES, QUEUE, REGIONS, Action
from tui.actions.when import in_panes

__all__ = ["LISTS"]


LISTS: tuple[Action, ...] = (
    Action(
        "mark",
        "space",
        "mark",
        "mark",
        "mark process, region or cell; again: not marked",
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
        applies=lambda s: s.mark and (s.pane in (PROCESSES, REGIONS) or (s.pane == MAP and s.only)),
        rank=46,
    ),
    Action(
        "filter",
        "slash",
        "filter",
        "filter",
        "words, remote>50% user=web node=2; in the map: address, class",
        "lists",
        applies=in_panes(PROCESSES, REGIONS, MAP),
        say=lambda s: "find" if s.pane == MAP else "filter",
        rank=30,
        types_ahead=True,
    ),
    Action("sort", "s", "sort", "sort", "sort by the next column", "lists", applies=in_panes(PROCESSES), rank=32),
    Action(
        "sort-reverse", "S", "sort_reverse", "reverse", "sort the other way round", "lists", applies=in_panes(PROCESSES)
    ),
)
