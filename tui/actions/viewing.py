"""The console itself: what it shows, how it looks, and what it keeps."""

from __future__ import annotations

from tui.actions.action import Action

__all__ = ["VIEWING"]


VIEWING: tuple[Action, ...] = (
    Action("help", "question_mark", "help", "help", "all keys, those of what has focus first", "view", rank=1),
    Action(
        "freeze",
        "z",
        "freeze",
        "freeze",
        "hold the picture, and let it go on; jobs go on meanwhile",
        "view",
        say=lambda s: "go on" if s.frozen else "freeze",
        rank=85,
    ),
    Action(
        "big",
        "b",
        "big",
        "big",
        "the pane fills the screen, and again",
        "view",
        say=lambda s: "small" if s.big else "big",
        rank=86,
    ),
    Action("read", "r", "read", "read", "look at everything now", "view", rank=87),
    Action(
        "home",
        "H",
        "home",
        "home...",
        "say where the process is at home, or let its threads say it",
        "view",
        applies=lambda s: s.process,
        rank=88,
    ),
    Action("palette", "ctrl+p", "command_palette", "commands", "find a command by its name", "view", rank=89),
    Action("quit", "q", "quit", "quit", "leave; asks while jobs run", "view", rank=90),
)
